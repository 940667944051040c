using System.Diagnostics;

namespace KaslrMt.Cli.Tests;

/// <summary>Option before environment before file before default; and no store for commands that need none. In processes of their own: it is their environment.</summary>
public sealed class StorePrecedenceTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void The_option_goes_before_the_environment_and_that_before_the_file_and_that_before_the_default()
    {
        Assert.Equal("state/tenants.db", UsedBy(option: false, environment: false, file: false));
        Assert.Equal("file/t.db", UsedBy(option: false, environment: false, file: true));
        Assert.Equal("environment/t.db", UsedBy(option: false, environment: true, file: true));
        Assert.Equal("option/t.db", UsedBy(option: true, environment: true, file: true));
    }

    [Fact]
    public void A_command_that_needs_no_store_makes_none_and_reads_no_configuration()
    {
        Configure("nonsense");
        foreach (string words in (string[])["--help", "tenant list --help", "--version"])
        {
            Assert.Equal((0, ""), Run(words.Split(' ')));
        }

        (int code, string error) = Run("tenant", "list");
        Assert.Equal(3, code);
        Assert.StartsWith($"kaslrmt: KMT9014: {_scratch.At("config/kaslrmt/config")}, line 1: ", error, StringComparison.Ordinal);
        File.Delete(_scratch.At("config/kaslrmt/config"));
        Assert.Equal((0, ""), Run("ps"));
        Assert.False(Directory.Exists(_scratch.At("state")));
    }

    private string UsedBy(bool option, bool environment, bool file)
    {
        Configure(file ? $"store = sqlite:{At("file")}" : "");
        (int code, string error) = RunIn(environment ? $"sqlite:{At("environment")}" : null, ["tenant", "list", .. option ? ["--store", $"sqlite:{At("option")}"] : Array.Empty<string>()]);
        Assert.True(code == 0, error);
        string[] databases = Directory.GetFiles(_scratch.Folder, "*.db", SearchOption.AllDirectories);
        Array.ForEach(databases, File.Delete);
        return Path.GetRelativePath(_scratch.Folder, Assert.Single(databases));

        string At(string folder)
        {
            Directory.CreateDirectory(_scratch.At(folder), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return _scratch.At($"{folder}/t.db");
        }
    }

    private void Configure(string line)
    {
        Directory.CreateDirectory(_scratch.At("config/kaslrmt"));
        _scratch.Write("config/kaslrmt/config", line);
    }

    private (int Code, string Error) Run(params string[] words) => RunIn(null, words);

    private (int Code, string Error) RunIn(string? store, params string[] words)
    {
        ProcessStartInfo start = new(Path.Combine(AppContext.BaseDirectory, "kaslrmt"), words) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["KASLRMT_STATE_DIR"] = _scratch.At("state");
        start.Environment["KASLRMT_RUNTIME_DIR"] = _scratch.At("run");
        start.Environment["XDG_CONFIG_HOME"] = _scratch.At("config");
        start.Environment["KASLRMT_STORE"] = store;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.NotNull(output.Result);
        return (process.ExitCode, error);
    }
}
