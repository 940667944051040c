using System.Text;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Experiments.Modules;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Tests.Experiments;

public sealed class ModuleExperimentTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    // The names come from a guest's memory and go to a root shell of another one.
    [Theory]
    [InlineData("a b")]
    [InlineData("$(reboot)")]
    [InlineData("x\ny")]
    [InlineData("-r")]
    [InlineData("../x")]
    [InlineData("")]
    [InlineData("é")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    public void What_is_no_modules_name_is_not_listed(string name) =>
        Assert.Equal("loop\n8021q\nsnd-hda\n", Encoding.ASCII.GetString(ModuleListArchive.List(["loop", name, "8021q", "loop", "snd-hda"])));

    [Fact]
    public void A_page_counts_as_equal_when_every_boot_has_its_content()
    {
        PageFingerprint[][] boots = [[Page(1), Page(1), Page(2), Page(3)], [Page(1), Page(2)], [Page(4), Page(1)]];
        Assert.Equal(0.5, ModuleReport.Outcome.EqualShare(boots));
        Assert.Equal(0, ModuleReport.Outcome.EqualShare([[], []]));
    }

    // What was booted before an interruption counts, and is not booted again: there is nothing here that could boot.
    [Fact]
    public async Task Boots_that_are_kept_are_taken_as_they_are_and_the_key_goes_with_the_last()
    {
        using ExperimentFolder folder = Folder();
        folder.Key().Dispose();
        Keep(folder, "plain-1", Page(1), Page(2));
        Keep(folder, "plain-2", Page(1), Page(3));
        ModuleReport.Outcome outcome = Assert.Single(await RunAsync(folder, boots: 2));
        Assert.Equal(0.5, outcome.EqualCode);
        Assert.Equal([1.5, 1.5], outcome.BootSeconds);
        Assert.False(folder.HasKey);
    }

    // Their addresses follow from another key than the one that the missing boots would get.
    [Fact]
    public async Task Boots_whose_key_is_gone_do_not_mix_with_new_ones()
    {
        using ExperimentFolder folder = Folder();
        Keep(folder, "plain-1", Page(1));
        await Assert.ThrowsAsync<OperationCanceledException>(() => RunAsync(folder, boots: 2, stopped: true));
        Assert.False(File.Exists(Path.Combine(folder.Path, "probes", "plain-1.json")));
        Assert.True(folder.HasKey);
    }

    private static void Keep(ExperimentFolder folder, string label, params PageFingerprint[] code) => folder.Write(
        $"probes/{label}.json",
        new ModuleBoot
        {
            BootSeconds = 1.5,
            Modules = [new ModuleReport.BootedModule("loop", "0xffffffffc4000000")],
            Text = new Dictionary<string, PageFingerprint[]> { ["loop"] = code },
            Code = code,
            Data = [],
            PageTables = 3,
        },
        ExperimentJson.Default.ModuleBoot);

    private async Task<IReadOnlyList<ModuleReport.Outcome>> RunAsync(ExperimentFolder folder, int boots, bool stopped = false)
    {
        var experiment = new ModulesExperiment(NoGuests.Recipe, NoGuests.Host(_scratch), folder, NoGuests.Silent);
        using var stop = new CancellationTokenSource();
        if (stopped)
        {
            await stop.CancelAsync();
        }

        return await experiment.RunAsync([ModuleOption.All[0]], boots, stop.Token);
    }

    private ExperimentFolder Folder() => ExperimentFolder.Open(_scratch.At("modules"), NoGuests.Settings with { Variants = ["plain"] });

    private static PageFingerprint Page(ulong value) => new(value, value);
}
