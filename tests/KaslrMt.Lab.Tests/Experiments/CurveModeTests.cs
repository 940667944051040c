using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;

namespace KaslrMt.Lab.Tests.Experiments;

/// <summary>The modes of <c>experiment curve</c>: names that files, VMs and other programs can take, and guests that are what the name says.</summary>
public sealed class CurveModeTests
{
    [Fact]
    public void Each_mode_has_a_name_and_a_label_of_its_own()
    {
        Assert.Equal(CurveMode.All.Count, CurveMode.All.Select(mode => mode.Name).Distinct().Count());
        Assert.Equal(CurveMode.All.Count, CurveMode.All.Select(mode => mode.Label).Distinct().Count());
        Assert.All(CurveMode.All, mode =>
        {
            // The longest process number, and the most guests.
            Assert.True(VmName.IsLegal($"experiment-4194304-{mode.Name}-255"), mode.Name);
            Assert.DoesNotContain('"', mode.Label);
        });
    }

    [Fact]
    public void Names_mean_what_they_meant()
    {
        string[] names = ["off", "off-zeroed", "stock", "kaslr-mt", "kaslr-mt-physical", "kaslr-mt-physmap", "two-tenants", "kaslr-mt-by-name", "kaslr-mt-physical-by-name-zeroed-notrace"];
        Assert.Equal(names, CurveMode.Parse([.. names.Reverse()]).Select(mode => mode.Name));
        CurveMode all = CurveMode.Parse([names[^1]]).Single();
        Assert.Equal(new CurveMode(ExperimentMode.KaslrMt, SharesPhysical: true, SharesPhysmap: false, Tenants: 1, ModuleAddresses.ByName, FreePages.Zeroed, Traced: false), all);
        Assert.Equal(2, CurveMode.Parse(["two-tenants"]).Single().Tenants);
    }

    [Fact]
    public void Without_a_name_off_stock_and_ours_are_among_the_usual_ones()
    {
        IReadOnlyList<CurveMode> usual = CurveMode.Parse([]);
        Assert.All("off stock kaslr-mt".Split(' '), name => Assert.Contains(usual, mode => mode.Name == name));
        Assert.Equal(CurveMode.Standard, usual);
    }

    [Theory]
    [InlineData("kaslr-mt", "110010", "110010")]
    [InlineData("kaslr-mt-physical", "110010", "110011")]
    [InlineData("kaslr-mt-physical", "000000", "000001")]
    [InlineData("kaslr-mt-physmap", "110010", "110111")]
    [InlineData("two-tenants-zeroed", "111111", "111111")]
    [InlineData("stock", "110010", null)]
    [InlineData("off-zeroed", "110010", null)]
    public void The_policy_is_the_experiments_and_the_physical_base_the_modes(string name, string chosen, string? policy) =>
        Assert.Equal(policy, CurveMode.Parse([name]).Single().PolicyOf(Policy.Parse(chosen))?.ToString());

    [Theory]
    [InlineData("off", "quiet", ModuleAddresses.ByOrder)]
    [InlineData("off-zeroed", "init_on_free=1 quiet", ModuleAddresses.ByOrder)]
    [InlineData("kaslr-mt-by-name", "quiet", ModuleAddresses.ByName)]
    [InlineData("kaslr-mt-physical-by-name-zeroed-notrace", "initcall_blacklist=tracer_init_tracefs init_on_free=1 quiet", ModuleAddresses.ByName)]
    public void Guests_are_what_the_mode_says(string name, string line, ModuleAddresses modules)
    {
        var recipe = new GuestRecipe { Name = "minimal", Kernel = "k", Initrd = "i", CommandLine = "quiet", Memory = new ByteSize(256 * ByteSize.MiB) };
        GuestRecipe own = CurveMode.Parse([name]).Single().Recipe(recipe);
        Assert.Equal((line, modules), (own.CommandLine, own.Modules));
        Assert.Equal(recipe, own with { CommandLine = recipe.CommandLine, Modules = recipe.Modules });
    }
}
