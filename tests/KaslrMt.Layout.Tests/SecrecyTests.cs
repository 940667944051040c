using System.Reflection;

namespace KaslrMt.Layout.Tests;

/// <summary>Keys, seeds and bases show up in no text that a log or an error could take.</summary>
public class SecrecyTests
{
    [Fact]
    public void Secrets_print_nothing_but_their_kind()
    {
        using TenantKey key = SampleVms.Key(1);
        using VmSeed seed = SampleVms.Seed(1);
        using KernelLayout layout = LayoutPlanner.Plan(
            SampleVms.Kernel61, SampleVms.Pc(ByteSize.GiB), Policy.Default, key, seed, AddressProducers.Default);
        Assert.Equal("TenantKey", key.ToString());
        Assert.Equal("VmSeed", seed.ToString());
        Assert.Equal("KernelLayout", layout.ToString());
        Assert.All(layout.Regions, region =>
        {
            Assert.Equal(region.Region.Name(), region.ToString());
            Assert.Equal(region.Region.Name(), region.Window.ToString());
            Assert.All(region.Window.Windows, window => Assert.Equal("KaslrConfig", window.ToString()));
        });
        using var line = GuestCommandLine.Parse($"quiet kaslr_mt={SampleVms.KeyText(1)}-110010");
        Assert.Equal("quiet", line.ToString());
    }

    [Fact]
    public void Secrets_compare_by_reference_and_offer_no_formatting()
    {
        foreach (Type type in (Type[])[typeof(TenantKey), typeof(VmSeed), typeof(KernelLayout), typeof(SecretBytes)])
        {
            Assert.True(type.IsSealed && typeof(IDisposable).IsAssignableFrom(type), type.Name);
            Assert.Equal(typeof(object), type.GetMethod(nameof(Equals), [typeof(object)])!.DeclaringType);
            Assert.False(typeof(IFormattable).IsAssignableFrom(type), type.Name);
            Assert.Empty(type.GetCustomAttributes<System.Diagnostics.DebuggerDisplayAttribute>());
        }
    }

    [Fact]
    public void No_public_property_of_a_key_or_seed_gives_its_content_to_a_serializer()
    {
        Assert.Equal(["Length"], typeof(TenantKey).GetProperties().Select(property => property.Name));
        Assert.Empty(typeof(VmSeed).GetProperties());
    }
}
