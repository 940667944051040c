using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace KaslrMt.Lab.Tests.Html;

/// <summary>A page in a real browser: its charts are drawn, and no name in it becomes anything but text.</summary>
public sealed class ReportInBrowserTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Every_chart_is_drawn_with_its_labels()
    {
        string page = await RenderAsync(ReportFixtures.Curve("off", "stock", "kaslr-mt", "policy 110011"), ReportFixtures.Regions("111111", "110010"), ReportFixtures.Modules(), ReportFixtures.Sharing());
        MatchCollection charts = Regex.Matches(page, "(?s)<div class=\"chart\" id=\"chart-\\d+\"[^>]*>(.*?)</div>");
        Assert.Equal(12, charts.Count);
        Assert.Contains("data-drawn=\"12\"", page, StringComparison.Ordinal);
        Assert.All(charts, chart => Assert.Contains("<svg class=\"plot\"", chart.Value, StringComparison.Ordinal));
        Assert.DoesNotContain("chart-error", Regex.Replace(page, "(?s)<style>.*?</style>|<script>.*?</script>", ""), StringComparison.Ordinal);
        Assert.All(["off 50.0", "policy 110011 80.0", "paper: stock 35"], label => Assert.Contains($">{label}</text>", charts[0].Value, StringComparison.Ordinal));
        Assert.All(["vmemmap", "policy 110011", "60.0"], label => Assert.Contains($">{label}</text>", charts[1].Value, StringComparison.Ordinal));
        Assert.Contains("MiB · 1.00 ×</text>", charts[2].Value, StringComparison.Ordinal);
        Assert.Contains("module-code: modules kept", charts[3].Value, StringComparison.Ordinal);
        Assert.Contains(">virtio_ring</text>", charts[5].Value, StringComparison.Ordinal);
        Assert.Contains("redundant within tenants", charts[7].Value, StringComparison.Ordinal);
        Assert.Contains("vmemmap, tenant's</text>", charts[8].Value, StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", string.Concat(charts.Select(chart => chart.Value)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_hostile_name_stays_text()
    {
        string page = await RenderAsync(ReportFixtures.Sharing(), ReportFixtures.Curve(ReportFixtures.HostileName, ReportFixtures.HostileTenant), HostileModules());
        Assert.DoesNotContain("<img", page, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("<title>Kernel layouts and shared memory</title>", page, StringComparison.Ordinal);
        Assert.Equal(3, Regex.Count(page, "<script"));

        // Whoever names a chart's series with it sees it, shortened, as text.
        Assert.Matches("&lt;img src=x[^<]*</text>", page);
    }

    [Fact]
    public async Task A_heading_is_a_button_that_the_keyboard_reaches()
    {
        string page = await RenderAsync(ReportFixtures.Regions("111111", "000000"));
        Assert.Contains("<button type=\"button\">vmemmap</button>", page, StringComparison.Ordinal);
    }

    private static JsonObject HostileModules() =>
        JsonNode.Parse(ReportFixtures.Modules().ToJsonString().Replace("virtio_ring", "<svg onload=alert(1)>", StringComparison.Ordinal))!.AsObject();

    private async Task<string> RenderAsync(params JsonObject[] results)
    {
        string[] files = [.. results.Select((result, number) => _scratch.Write($"results-{number}.json", result.ToJsonString()))];
        string page = _scratch.At("page.html");
        Call call = await KaslrmtLab.CallAsync(["report", .. files, "-o", page]);
        Assert.Equal((0, ""), (call.Code, call.Error));

        var start = new ProcessStartInfo("chromium") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in new[]
        {
            // The page is ours, and root has no sandbox.
            "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", $"--user-data-dir={_scratch.At("browser")}", "--window-size=1280,2000", "--virtual-time-budget=5000", "--dump-dom",
            $"file://{page}",
        })
        {
            start.ArgumentList.Add(argument);
        }

        using Process browser = Process.Start(start) ?? throw new InvalidOperationException("chromium did not start");
        Task<string> output = browser.StandardOutput.ReadToEndAsync(), error = browser.StandardError.ReadToEndAsync();
        try
        {
            await browser.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromMinutes(3)).Token);
        }
        finally
        {
            browser.Kill(entireProcessTree: true);
        }

        Assert.True(browser.ExitCode == 0, await error);
        return await output;
    }
}
