using System.Text.Json.Nodes;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Tests.Html;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Tests.Experiments;

/// <summary>What an experiment kept before it was interrupted may be damaged since: that is said with the file's name, and never a fault of the program.</summary>
public sealed class DamagedResultsTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_mode_that_is_whole_is_taken_as_it_is()
    {
        using ExperimentFolder folder = Folder("off");
        CurveReport.Mode mode = await MeasureAsync(folder, Whole().ToJsonString());
        Assert.Equal("KASLR off", mode.Label);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{ "name": "off", "booted": 3, "skipped": [], "points": null }""")]
    public async Task A_mode_that_holds_nothing_is_damaged(string content) => await DamagedAsync(content);

    [Theory]
    [InlineData("points", "[null]")]
    [InlineData("points", "[]")]
    [InlineData("classes", "[]")]
    [InlineData("booted", "2147483647")]
    [InlineData("name", "\"stock\"")]
    public async Task A_mode_of_which_a_part_cannot_be_is_damaged(string member, string value)
    {
        JsonObject mode = Whole();
        mode[member] = JsonNode.Parse(value);
        await DamagedAsync(mode.ToJsonString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("KMTPROBE1")]
    public async Task A_policys_damaged_probe_is_named(string content)
    {
        using ExperimentFolder folder = Folder("000000");
        File.WriteAllText(folder.ProbeFile("000000-0"), content);
        File.WriteAllText(folder.ProbeFile("000000-1"), content);
        var experiment = new RegionsExperiment(
            folder, Settings("000000"), new GuestBoots(NoGuests.Recipe, NoGuests.Host(_scratch), NoGuests.Silent), NoGuests.Silent);
        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(() => experiment.RunAsync(2, CancellationToken.None));
        Assert.Equal(SharingErrors.ExperimentDamaged, error.Code);
        Assert.Contains("000000-", error.Problem, StringComparison.Ordinal);
    }

    private static JsonObject Whole()
    {
        JsonObject mode = ReportFixtures.Curve("off")["modes"]![0]!.DeepClone().AsObject();
        JsonNode row = mode["classes"]![0]!;
        mode["classes"] = new JsonArray([.. PageClassNames.All.Select(pageClass =>
        {
            JsonNode own = row.DeepClone();
            own["name"] = pageClass.Name();
            return own;
        })]);
        return mode;
    }

    private async Task DamagedAsync(string content)
    {
        using ExperimentFolder folder = Folder("off");
        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(() => MeasureAsync(folder, content));
        Assert.Equal(SharingErrors.ExperimentDamaged, error.Code);
        Assert.Contains("off.json", error.Problem, StringComparison.Ordinal);
    }

    private async Task<CurveReport.Mode> MeasureAsync(ExperimentFolder folder, string content)
    {
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "off.json"), content);
        return await new CurveExperiment(folder, NoGuests.Recipe, NoGuests.Host(_scratch), NoGuests.Silent) { Total = 0 }.MeasureAsync(CurveMode.Parse(["off"])[0], 3, 1, CancellationToken.None);
    }

    private ExperimentFolder Folder(string variant) => ExperimentFolder.Open(_scratch.At("results"), Settings(variant));

    private static ExperimentSettings Settings(string variant) => NoGuests.Settings with { Variants = [variant] };
}
