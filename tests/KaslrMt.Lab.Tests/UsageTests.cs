namespace KaslrMt.Lab.Tests;

public sealed class UsageTests
{
    [Theory]
    [InlineData("nosuch")]
    [InlineData("experiment modules --boots 1")]
    [InlineData("experiment modules --option bogus")]
    [InlineData("demo --kernel ../6.1-cloud")]
    [InlineData("demo --kernel ..")]
    [InlineData("report")]
    public async Task A_call_that_does_not_parse_is_one_line_and_exit_code_2(string call) => (await KaslrmtLab.CallAsync(call.Split(' '))).FailedWith("KMT9001", 2);

    [Theory]
    [InlineData("")]
    [InlineData("demo")]
    [InlineData("experiment curve")]
    [InlineData("experiment regions")]
    [InlineData("experiment modules")]
    [InlineData("sharing")]
    [InlineData("report")]
    public async Task Help_fits_80_columns_and_shows_usage(string command)
    {
        Call help = await KaslrmtLab.CallAsync([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);
        Assert.Equal((0, ""), (help.Code, help.Error));
        Assert.Contains($"Usage: kaslrmt-lab{(command.Length == 0 ? "" : " ")}{command}", help.Output, StringComparison.Ordinal);
        Assert.All(help.Output.Split('\n'), line => Assert.True(line.Length <= 80 && line == line.TrimEnd(), line));
        Assert.Contains(command.Length == 0 ? "Exit codes:" : "Examples:", help.Output, StringComparison.Ordinal);
    }
}
