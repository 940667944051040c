using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace KaslrMt.Lab.Tests.Html;

/// <summary>What a page holds; what is no results is said in a line; nothing is overwritten; a page comes whole.</summary>
public sealed partial class ReportTests : IDisposable
{
    private readonly Scratch _scratch = new();

    private string Page => _scratch.At("page.html");

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_page_holds_all_sources_in_their_order_and_the_address_space()
    {
        string page = await WriteAsync(ReportFixtures.Curve("off", "stock"), ReportFixtures.Regions("110010", "111111"), ReportFixtures.Modules(), ReportFixtures.Sharing());
        string[] headings = ["Memory shared, by number of guests", "What each region&#x27;s randomization costs", "Modules between boots", "What running guests share", "The address space"];
        int[] places = [.. headings.Select(heading => page.IndexOf($">{heading}</h2>", StringComparison.Ordinal))];
        Assert.DoesNotContain(-1, places);
        Assert.Equal(places.Order(), places);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Page));
    }

    [Fact]
    public async Task What_was_measured_is_said()
    {
        string page = await WriteAsync(ReportFixtures.Curve("off"));
        Assert.All(
            ["2026-11-22 02:41 UTC", "Linux 6.18", "kaslrmt experiment curve", "minimal, 3 of each mode", "6.1-cloud", "256M"],
            fact => Assert.Contains($"<dd>{fact}</dd>", page, StringComparison.Ordinal));
    }

    [Fact]
    public void The_command_is_told_without_where_its_results_went() => Assert.Equal(
        "kaslrmt experiment curve --guests 2 --no-ksm",
        KaslrMt.Cli.Output.Measurement.CommandOf(["experiment", "curve", "--guests", "2", "-o", "/home/somebody/results", "--no-ksm"]));

    [Fact]
    public async Task Every_figure_of_a_chart_is_in_a_table_whatever_the_modes_are_called()
    {
        string page = await WriteAsync(ReportFixtures.Curve("off", "kaslr-mt, policy 110011", "two tenants", "zeroed"));
        foreach (JsonNode? point in Charts(page).First(chart => chart["kind"]!.GetValue<string>() == "lines")["points"]!.AsArray())
        {
            Assert.Contains($"<bdi>{point!["y"]!.GetValue<double>().ToString("0.0", CultureInfo.InvariantCulture)}</bdi>", page, StringComparison.Ordinal);
        }

        Assert.Contains("<th scope=\"col\" class=\"number\">kaslr-mt, policy 110011</th>", page, StringComparison.Ordinal);
        Assert.Equal(4, Charts(page)[0]["series"]!.AsArray().Count);
    }

    [Fact]
    public async Task Regions_are_shaded_by_their_share_and_the_papers_figures_stand_beside()
    {
        string page = await WriteAsync(ReportFixtures.Regions("110010", "000000"));
        Assert.Matches("heat-10\"><bdi>100.0</bdi><small>50.0</small>", page);
        Assert.Matches("heat-0\"><bdi>0.0</bdi><small>0.0</small>", page);
        Assert.Matches("level-high\"><bdi>high 69.5</bdi><small>paper: high</small>", page);
        Assert.Matches("level-none\"><bdi>none 0.0</bdi>", page);
        Assert.Contains("25-30", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Names_are_text_wherever_they_stand()
    {
        string page = await WriteAsync(ReportFixtures.Sharing(), ReportFixtures.Curve(ReportFixtures.HostileName, ReportFixtures.HostileTenant));
        Assert.DoesNotContain("<img", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("owned'</", page, StringComparison.Ordinal);
        Assert.DoesNotContain('\u2028', Own(page));
        Assert.Equal(3, Regex.Count(page, "(?i)<script"));
        Assert.Equal(3, Regex.Count(page, "(?i)</script"));
        string data = Data(page);
        Assert.All("<>&", character => Assert.DoesNotContain(character, data));
        Assert.Equal(ReportFixtures.HostileName, Charts(page).First(chart => chart["kind"]!.GetValue<string>() == "lines")["series"]![0]!["name"]!.GetValue<string>());
    }

    [Fact]
    public async Task The_page_loads_nothing_and_runs_its_own_two_scripts_only()
    {
        string page = await WriteAsync(ReportFixtures.Regions("110010"));
        Match policy = ContentPolicy().Match(page);
        Assert.Contains("default-src 'none';", policy.Value, StringComparison.Ordinal);
        string[] digests = [.. Regex.Matches(page, "(?s)<script>(.*?)</script>").Select(script =>
            Convert.ToBase64String(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(script.Groups[1].Value))))];
        Assert.Equal(2, digests.Length);
        Assert.All(digests, digest => Assert.Contains($"'sha256-{digest}'", policy.Value, StringComparison.Ordinal));
        Assert.DoesNotMatch("(?i)\\s(src|href)\\s*=(?!\"#)|@import|url\\(|https?:", Own(page));
        Assert.Contains("Permission to use, copy, modify, and/or distribute this software", page, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("not JSON")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{ "policies": 3 }""")]
    [InlineData("""{ "modes": [], "guest": null }""")]
    [InlineData("""{ "name": "another program's" }""")]
    public async Task What_is_no_results_is_said_in_a_line_and_nothing_is_written(string content)
    {
        (await KaslrmtLab.CallAsync("report", _scratch.Write("results.json", content), "-o", Page)).FailedWith("KMT9019", 3);
        Assert.False(File.Exists(Page));
    }

    [Fact]
    public async Task Damage_anywhere_in_results_is_an_error_and_never_a_crash()
    {
        foreach (JsonObject results in new[] { ReportFixtures.Curve("off", "stock"), ReportFixtures.Regions("110010"), ReportFixtures.Modules(), ReportFixtures.Sharing() })
        {
            foreach (string damaged in Damages(results))
            {
                Call call = await KaslrmtLab.CallAsync("report", _scratch.Write("results.json", damaged), "-o", Page, "--force");
                Assert.True(call.Code is 0 or 3, $"{call.Error}{damaged}");
                Assert.DoesNotContain("KMT9000", call.Error, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("kernelRedundantShare", "1e999")]
    [InlineData("kernelRedundantShare", "-0.5")]
    [InlineData("kernelRedundantShare", "17")]
    [InlineData("heldPages", "-1")]
    [InlineData("guests", "7")]
    [InlineData("name", "null")]
    public async Task A_value_that_cannot_be_is_refused(string member, string value)
    {
        string results = Regex.Replace(ReportFixtures.Curve("off").ToJsonString(), $"\"{member}\":[^,}}]+", $"\"{member}\":{value}");
        (await KaslrmtLab.CallAsync("report", _scratch.Write("results.json", results), "-o", Page)).FailedWith("KMT9019", 3);
    }

    [Theory]
    [InlineData("NaN")]
    [InlineData("5-NaN")]
    [InlineData("Infinity")]
    [InlineData("")]
    public async Task A_figure_of_the_papers_that_is_no_number_is_drawn_as_none(string paper)
    {
        JsonObject results = ReportFixtures.Regions("110010");
        results["paper"]![0]!["paper"] = paper;
        JsonObject pairs = Charts(await WriteAsync(results)).First(chart => chart["kind"]!.GetValue<string>() == "pairs");
        Assert.Equal(0, pairs["rows"]![0]!["high"]!.GetValue<double>());
    }

    // The serializer says of a value that it is half a character; of a member's name it does not.
    [Theory]
    [InlineData("{\"policie\\ud800\": 1, ")]
    [InlineData("{\"\\udfff\": {}, \"aaaaaaaa\\ud800\": 1, ")]
    public async Task Half_a_character_in_a_name_is_damage(string beginning) => (await KaslrmtLab.CallAsync(
        "report", _scratch.Write("results.json", beginning + ReportFixtures.Curve("off").ToJsonString()[1..]), "-o", Page)).FailedWith("KMT9019", 3);

    // 100 boots of 400 modules each, and no name twice: a file of 2 MB, and four million fields of a table.
    [Fact]
    public async Task Results_whose_page_would_not_fit_into_memory_are_refused()
    {
        JsonObject results = ReportFixtures.Modules();
        results["options"]![0]!["boots"] = new JsonArray([.. Enumerable.Range(0, 100).Select(boot => new JsonArray(
            [.. Enumerable.Range(0, 400).Select(module => new JsonObject { ["name"] = $"m{boot}_{module}", ["address"] = "0xffffffffc0000000" })]))]);
        (await KaslrmtLab.CallAsync("report", _scratch.Write("results.json", results.ToJsonString()), "-o", Page)).FailedWith("KMT9019", 3);
    }

    [Fact]
    public async Task Results_that_are_cut_off_or_too_large_or_missing_are_named()
    {
        string whole = ReportFixtures.Curve("off").ToJsonString();
        (await KaslrmtLab.CallAsync("report", _scratch.Write("results.json", whole[..(whole.Length / 2)]), "-o", Page)).FailedWith("KMT9019", 3);
        (await KaslrmtLab.CallAsync("report", _scratch.Write("results.json", new string(' ', 9 << 20) + whole), "-o", Page)).FailedWith("KMT9019", 3);
        (await KaslrmtLab.CallAsync("report", _scratch.At("nothing"), "-o", Page)).FailedWith("KMT9019", 3);
        Directory.CreateDirectory(_scratch.At("empty"));
        (await KaslrmtLab.CallAsync("report", _scratch.At("empty"), "-o", Page)).FailedWith("KMT9019", 3);
        (await KaslrmtLab.CallAsync("report", "-o", Page)).FailedWith("KMT9001", 2);
    }

    [Fact]
    public async Task A_page_that_exists_is_replaced_only_when_asked_to()
    {
        string results = _scratch.Write("results.json", ReportFixtures.Sharing().ToJsonString());
        _scratch.Write("page.html", "dear");
        (await KaslrmtLab.CallAsync("report", results, "-o", Page)).FailedWith("KMT9020", 2);
        Assert.Equal("dear", await File.ReadAllTextAsync(Page));
        (await KaslrmtLab.CallAsync("report", _scratch.Write("bad.json", "{"), "-o", Page, "--force")).FailedWith("KMT9019", 3);
        Assert.Equal("dear", await File.ReadAllTextAsync(Page));
        Assert.Equal(0, (await KaslrmtLab.CallAsync("report", results, "-o", Page, "--force")).Code);
        Assert.EndsWith("</html>\n", await File.ReadAllTextAsync(Page), StringComparison.Ordinal);
        (await KaslrmtLab.CallAsync("report", results, "-o", _scratch.At("none/page.html"))).FailedWith("KMT2601", 3);
    }

    [Fact]
    public async Task A_comparison_whose_page_could_not_be_written_is_not_begun() =>
        (await KaslrmtLab.CallAsync("sharing", "nobody", "--html", _scratch.Write("page.html", "dear"))).FailedWith("KMT9020", 2);

    // Each member left out, and each value replaced by what it cannot be, one at a time.
    private static IEnumerable<string> Damages(JsonObject results)
    {
        string[] values = ["null", "\"x\"", "-1", "1e308"];
        string text = results.ToJsonString();
        HashSet<string> seen = [];
        foreach (Match member in Regex.Matches(text, "\"(\\w+)\":(\"[^\"]*\"|[-\\d.eE]+|\\[|\\{)"))
        {
            // One place of each name, or the test takes minutes.
            if (!seen.Add(member.Groups[1].Value))
            {
                continue;
            }

            yield return $"{text[..member.Index]}\"renamed\":{text[(member.Index + member.Groups[1].Length + 3)..]}";
            if (member.Groups[2].Value is not ("[" or "{"))
            {
                foreach (string value in values)
                {
                    yield return text[..member.Groups[2].Index] + value + text[(member.Groups[2].Index + member.Groups[2].Length)..];
                }
            }
        }
    }

    private static JsonObject[] Charts(string page) => [.. JsonNode.Parse(Data(page))!.AsArray().Select(chart => chart!.AsObject())];

    private static string Data(string page) => Regex.Match(page, "(?s)id=\"data\">(.*?)</script>").Groups[1].Value;

    // Without the library, which is not ours.
    private static string Own(string page) => Regex.Replace(page, "(?s)<script>.*?</script>", "");

    [GeneratedRegex("<meta http-equiv=\"Content-Security-Policy\" content=\"[^\"]+\">")]
    private static partial Regex ContentPolicy();

    private async Task<string> WriteAsync(params JsonObject[] results)
    {
        List<string> files = [];
        foreach (JsonObject result in results)
        {
            string folder = _scratch.At($"results-{files.Count}");
            Directory.CreateDirectory(folder);
            await File.WriteAllTextAsync(Path.Combine(folder, "results.json"), result.ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
            files.Add(folder);
        }

        Call call = await KaslrmtLab.CallAsync(["report", .. files, "-o", Page]);
        Assert.Equal((0, "", ""), (call.Code, call.Output, call.Error));
        return await File.ReadAllTextAsync(Page);
    }
}
