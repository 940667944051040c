using System.Diagnostics;
using KaslrMt.BootTests.Running;
using KaslrMt.Tenants;

namespace KaslrMt.BootTests;

/// <summary>The samples do what they say, with real guests. They use what any other program can use.</summary>
public sealed class SampleTests : IDisposable
{
    private const string Kernel = "6.1-cloud";

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task The_orchestrator_boots_a_tenants_vm_verifies_it_and_leaves_nothing()
    {
        string initrd = GuestInit.WriteTo(_scratch.At("initrd"), Kernel, "sleep 100000");
        (int code, string output, string error) = await RunAsync("orchestrator", "acme", TestKernels.Image(Kernel), initrd, "console=ttyS0 quiet no_timer_check");
        Assert.True(code == 0, output + error);
        string[] lines = output.TrimEnd().Split('\n');
        Assert.Equal(7, lines.Length);
        Assert.All(lines[..6], line => Assert.True(line.EndsWith(" ok", StringComparison.Ordinal) || (line.StartsWith("Modules", StringComparison.Ordinal) && line.EndsWith("not drawn yet", StringComparison.Ordinal)), line));
        Assert.Contains(": verified; stopped (", lines[6], StringComparison.Ordinal);
        Assert.Empty(_scratch.Leftovers);

        await using TenantTable table = await TenantTable.OpenAsync(new TableSettings { StateDirectory = _scratch.StateDirectory });
        Assert.Empty(await table.Store.VmsAsync().AllAsync());
        Assert.False((await table.Store.FindTenantAsync("acme"))!.HasKey);
        Assert.Contains(await table.Store.AuditAsync().AllAsync(), entry => entry.Action == "start" && entry.Tenant == "acme");
    }

    [Fact]
    public async Task The_orchestrator_says_in_one_line_why_a_vm_cannot_run()
    {
        (int code, string output, string error) = await RunAsync("orchestrator", "acme", _scratch.At("no-kernel"), _scratch.Write("initrd", ""));
        Assert.Equal((4, ""), (code, output));
        Assert.StartsWith("orchestrator: KMT", Assert.Single(error.TrimEnd().Split('\n')), StringComparison.Ordinal);
        Assert.Empty(_scratch.Leftovers);
    }

    [Theory]
    [InlineData("", 0, "helpers: clean")]
    [InlineData("echo /tmp/evil > /proc/sys/kernel/modprobe; ", 1, "Compromised: modprobe_path: the kernel would start '/tmp/evil' as root")]
    public async Task The_audit_check_of_ones_own_runs_beside_the_built_in_ones_and_finds_what_it_looks_for(string planted, int expected, string said)
    {
        GuestPlan plan = new() { Kernel = Kernel, Seed = TestSecrets.Seed($"sample {planted}"), Then = $"{planted}echo planted; sleep 100000" };
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, plan);
        await guest.WaitForConsoleAsync("planted\r\n");
        (int code, string output, string error) = await RunAsync("auditcheck", guest.Name);
        Assert.True(code == expected, output + error);
        Assert.Contains(said, output, StringComparison.Ordinal);
        Assert.Contains("wx: clean", output, StringComparison.Ordinal);
    }

    private async Task<(int Code, string Output, string Error)> RunAsync(string sample, params string[] arguments)
    {
        ProcessStartInfo start = new(Path.Combine(AppContext.BaseDirectory, sample), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        KaslrmtProcess.Enter(start, _scratch);
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(Limit);
            return (process.ExitCode, await output, await error);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }
}
