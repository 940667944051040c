namespace KaslrMt.Cli.Tests;

public sealed class UsageTests
{
    [Theory]
    [InlineData("nosuch")]
    [InlineData("--bogus")]
    [InlineData("layout")]
    [InlineData("layout --kernel")]
    [InlineData("layout --kernel x --kernel y")]
    [InlineData("layout @file")]
    [InlineData("kernel")]
    [InlineData("kernel a b")]
    [InlineData("run")]
    [InlineData("run --kernel x stray")]
    [InlineData("run --kernel x --cpus 0")]
    [InlineData("run --kernel x --cpus many")]
    [InlineData("run --kernel x --module-addresses")]
    [InlineData("run --kernel x --module-addresses by-size")]
    [InlineData("run --kernel x --free-pages")]
    [InlineData("run --kernel x --free-pages clean")]
    [InlineData("run --kernel x --free-pages zeroed --append init_on_free=0")]
    [InlineData("layout --kernel x --free-pages zeroed")]
    [InlineData("image --kernel x --output y --module-addresses BY-NAME")]
    [InlineData("layout --kernel x --module-addresses by-name")]
    [InlineData("stop")]
    [InlineData("stop web1 --grace -1")]
    [InlineData("symbolize --kernel x --offset 5")]
    [InlineData("symbolize --kernel x --offset 0x40000000")]
    [InlineData("symbolize --kernel x --offset zero")]
    [InlineData("save")]
    [InlineData("save web1 file")]
    [InlineData("restore")]
    [InlineData("migrate web1")]
    [InlineData("migrate web1 --to")]
    [InlineData("migrate web1 --to nowhere")]
    [InlineData("migrate web1 --to host:0")]
    [InlineData("migrate web1 --to host:65536")]
    [InlineData("migrate web1 --to ::1:7000")]
    [InlineData("migrate web1 --to exec:true")]
    [InlineData("receive web1")]
    [InlineData("receive --listen h:1")]
    [InlineData("show")]
    [InlineData("modules")]
    [InlineData("modules a b c")]
    [InlineData("modules pid:x")]
    [InlineData("ps extra")]
    [InlineData("key new")]
    [InlineData("key bogus")]
    [InlineData("doctor x")]
    public async Task A_call_that_does_not_parse_is_one_line_and_exit_code_2(string call) => (await Kaslrmt.CallAsync(call.Split(' '))).FailedWith("KMT9001", 2);

    [Theory]
    [InlineData("kernel|")]
    [InlineData("layout|--kernel|")]
    [InlineData("layout|--kernel|x|--tenant-key-file|")]
    [InlineData("layout|--kernel|x|--initrd|")]
    [InlineData("image|--kernel|x|--output|")]
    [InlineData("key|new|")]
    [InlineData("save|web1|--output|")]
    [InlineData("restore|web1|--input|")]
    [InlineData("migrate|web1|--to|")]
    [InlineData("receive|web1|--listen|unix:")]
    public async Task An_empty_file_name_is_wrong_usage_not_a_crash(string call) => (await Kaslrmt.CallAsync(call.Split('|'))).FailedWith("KMT9001", 2);

    [Theory]
    [InlineData("run|--kernel|x|--append|console=ttyS0|kaslr_mt=SECRETSECRET1-110010")]
    [InlineData("layout|kaslr_mt=SECRETSECRET1-110010")]
    [InlineData("layout|--tenant-key|SECRETSECRET1")]
    [InlineData("layout|--tenant-key=SECRETSECRET1")]
    [InlineData("layout|--kernel|x|--append|kaslr_mt=SECRETSECRET1-11")]
    [InlineData("layout|--kernel|x|--append|kaslr_mt=110010-SECRETSECRET1")]
    [InlineData("layout|--kernel|x|--append|a -- kaslr_mt=SECRETSECRET1-110010")]
    public async Task A_key_in_the_wrong_place_is_refused_and_never_echoed(string call)
    {
        Call result = await Kaslrmt.CallAsync(call.Split('|'));
        Assert.Equal(2, result.Code);
        Assert.DoesNotContain("SECRET", result.Error + result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_arguments_the_help_is_shown_and_the_exit_code_is_2()
    {
        Call all = await Kaslrmt.CallAsync();
        Assert.Equal((2, ""), (all.Code, all.Error));
        Assert.Contains("Usage: kaslrmt COMMAND [options]", all.Output, StringComparison.Ordinal);
        Call key = await Kaslrmt.CallAsync("key");
        Assert.Equal(2, key.Code);
        Assert.Contains("Usage: kaslrmt key COMMAND", key.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("kernel")]
    [InlineData("layout")]
    [InlineData("image")]
    [InlineData("run")]
    [InlineData("ps")]
    [InlineData("stop")]
    [InlineData("save")]
    [InlineData("restore")]
    [InlineData("migrate")]
    [InlineData("receive")]
    [InlineData("tenant list")]
    [InlineData("host evict")]
    [InlineData("store backup")]
    [InlineData("show")]
    [InlineData("verify")]
    [InlineData("key")]
    [InlineData("key new")]
    [InlineData("doctor")]
    public async Task Help_fits_80_columns_and_shows_usage(string command)
    {
        Call help = await Kaslrmt.CallAsync([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);
        Assert.Equal((0, ""), (help.Code, help.Error));
        Assert.Contains($"Usage: kaslrmt{(command.Length == 0 ? "" : " ")}{command}", help.Output, StringComparison.Ordinal);
        Assert.All(help.Output.Split('\n'), line => Assert.True(line.Length <= 80 && line == line.TrimEnd(), line));
        Assert.Contains(command.Length == 0 ? "Exit codes:" : "Examples:", help.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("demo --json", "kaslrmt-lab demo")]
    [InlineData("experiment curve --guests 2 --no-ksm", "kaslrmt-lab experiment")]
    [InlineData("report results.json --output page.html", "kaslrmt-lab report")]
    public async Task A_command_that_moved_names_where_it_is(string call, string now)
    {
        Call moved = await Kaslrmt.CallAsync(call.Split(' '));
        moved.FailedWith("KMT9001", 2);
        Assert.Contains(now, moved.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Usage_of_run_says_where_QEMUs_arguments_go() =>
        Assert.Contains("Usage: kaslrmt run [options] [-- QEMU ARGS...]\n", (await Kaslrmt.CallAsync("run", "--help")).Output, StringComparison.Ordinal);

    [Fact]
    public async Task The_version_is_a_name_and_a_number()
    {
        Call version = await Kaslrmt.CallAsync("--version");
        Assert.Equal((0, "kaslrmt 0.1.0\n"), (version.Code, version.Output));
    }

    [Fact]
    public async Task A_fault_of_the_program_is_one_line_that_shows_nothing_of_its_message()
    {
        using var output = new FaultyWriter();
        using var error = new StringWriter();
        int code = await CommandLine.RunAsync(["--version"], output, error);
        new Call(code, "", error.ToString()).FailedWith("KMT9000", 4);
        Assert.DoesNotContain("SECRET", error.ToString(), StringComparison.Ordinal);
    }

    private sealed class FaultyWriter : StringWriter
    {
        public override void WriteLine(string? value) => throw new InvalidOperationException("SECRET");
    }
}
