using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using KaslrMt.Tenants.Tests.Faults;

namespace KaslrMt.Tenants.Tests.Sqlite;

public sealed partial class SqliteFaultTests : FaultTests, IDisposable
{
    private readonly Scratch _scratch = Scratch.InMemory();

    private protected override string Location => $"sqlite:{_scratch.At("tenants.db")}";

    private protected override KeyRingFile Keys => _scratch.Keys();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_disk_that_is_really_full_is_one_line_of_error_and_with_space_again_all_goes_on_with_nothing_lost()
    {
        string mountPoint = Directory.CreateDirectory(_scratch.At("disk")).FullName;
        using Process worker = FullDisk.Start(mountPoint, _scratch.Keys().Path);
        Task<string> error = worker.StandardError.ReadToEndAsync();
        string[] lines = (await worker.StandardOutput.ReadToEndAsync()).TrimEnd().Split('\n');
        await worker.WaitForExitAsync();
        Assert.Equal("", await error);
        Assert.Equal(0, worker.ExitCode);
        Assert.Equal(3, lines.Length);
        Assert.StartsWith($"{TenantErrors.StoreFull} ", lines[0], StringComparison.Ordinal);
        Match counts = Counts().Match(lines[1]);
        Assert.InRange(int.Parse(counts.Groups[1].Value, CultureInfo.InvariantCulture), 10, 99_999);
        Assert.Equal(counts.Groups[1].Value, counts.Groups[2].Value);
        Assert.Equal("same key True purged True faults 0", lines[2]);
    }

    [GeneratedRegex("^started ([0-9]+) kept ([0-9]+)$")]
    private static partial Regex Counts();
}
