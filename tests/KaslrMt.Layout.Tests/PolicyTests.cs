namespace KaslrMt.Layout.Tests;

public class PolicyTests
{
    [Fact]
    public void Bits_are_modules_vmemmap_vmalloc_physmap_virtual_physical_from_left_to_right()
    {
        (string Text, Region Only)[] oneBit =
        [
            ("100000", Region.Modules), ("010000", Region.Vmemmap), ("001000", Region.Vmalloc),
            ("000100", Region.Physmap), ("000010", Region.KernelVirtual), ("000001", Region.KernelPhysical),
        ];
        foreach ((string text, Region only) in oneBit)
        {
            var policy = Policy.Parse(text);
            Assert.All(LayoutNames.Regions, region => Assert.Equal(region == only ? Scope.PerTenant : Scope.PerVm, policy.ScopeOf(region)));
        }
    }

    [Fact]
    public void Default_is_the_papers_recommendation()
    {
        Assert.Equal("110010", Policy.Default.ToString());
        Assert.Equal(
            [Region.KernelVirtual, Region.Vmemmap, Region.Modules],
            LayoutNames.Regions.Where(region => Policy.Default.ScopeOf(region) == Scope.PerTenant));
    }

    [Fact]
    public void All_64_policies_are_distinct_and_survive_writing_and_reading()
    {
        Assert.Equal(64, Policy.All.Distinct().Count());
        Assert.All(Policy.All, policy => Assert.Equal(policy, Policy.Parse(policy.ToString())));
        Assert.Equal("000000", default(Policy).ToString());
        Assert.Equal(63, Policy.All.Count(policy => policy.NeedsTenantKey));
        Assert.Equal(63, Policy.All.Count(policy => policy.NeedsVmSeed));
    }

    [Theory]
    [InlineData("", "found nothing")]
    [InlineData("11001", "found '11001' (5 digits)")]
    [InlineData("1100100", "found '1100100' (7 digits)")]
    [InlineData("11001x", "found 6 characters, not all of them 0 or 1")]
    [InlineData(" 110010", "found 7 characters, not all of them 0 or 1")]
    [InlineData("110012", "found 6 characters, not all of them 0 or 1")]
    [InlineData("١١٠٠١٠", "found 6 characters, not all of them 0 or 1")]
    [InlineData("000000000000000000000000000000000", "found 33 characters, not all of them 0 or 1")]
    public void Anything_but_six_binary_digits_is_refused_and_what_was_found_is_said(string text, string said)
    {
        Assert.False(Policy.TryParse(text, out _));
        KaslrMtException failure = SampleVms.Fails(LayoutErrors.PolicyMalformed, () => Policy.Parse(text));
        Assert.Contains(said, failure.Problem, StringComparison.Ordinal);
        Assert.Contains("110010", failure.Remedy, StringComparison.Ordinal);
        Assert.Equal(ErrorCategory.Usage, failure.Category);
    }

    [Fact]
    public void Names_are_what_commands_and_reports_use_and_are_read_back()
    {
        Assert.Equal(
            ["kernel-physical", "kernel-virtual", "physmap", "vmalloc", "vmemmap", "modules"],
            LayoutNames.Regions.Select(region => region.Name()));
        Assert.Equal(["per-vm", "per-tenant"], Enum.GetValues<Scope>().Select(scope => scope.Name()));
        Assert.All(LayoutNames.Regions, region =>
        {
            Assert.True(LayoutNames.TryParseRegion(region.Name(), out Region read));
            Assert.Equal(region, read);
        });
        Assert.False(LayoutNames.TryParseRegion("Physmap", out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => Policy.Default.ScopeOf((Region)6));
    }

    [Fact]
    public void Producers_are_found_by_name_and_hkdf_is_the_default()
    {
        Assert.IsType<HkdfAddressProducer>(AddressProducers.Parse("hkdf"));
        Assert.IsType<PaperAddressProducer>(AddressProducers.Parse("paper"));
        Assert.IsType<HkdfAddressProducer>(AddressProducers.Default);
        KaslrMtException failure = SampleVms.Fails(LayoutErrors.ProducerUnknown, () => AddressProducers.Parse("sha1"));
        Assert.Contains("hkdf, paper", failure.Message, StringComparison.Ordinal);
    }
}
