using System.Diagnostics;

namespace KaslrMt.Cli.Tests;

/// <summary>What <c>save</c>, <c>restore</c>, <c>migrate</c> and <c>receive</c> refuse before they touch a VM.</summary>
public sealed class MovingCommandTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task What_cannot_be_moved_is_said()
    {
        (await Kaslrmt.CallAsync("restore", "web2", "--input", _scratch.At("missing"))).FailedWith("KMT9015", 3);
        string exposed = _scratch.Write("saved", "kaslrmt saved 1\n", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite);
        (await Kaslrmt.CallAsync("restore", "web1", "--input", exposed)).FailedWith("KMT9015", 3);
        (await Kaslrmt.CallAsync("restore", "../x")).FailedWith("KMT3010", 2);
        (await Kaslrmt.CallAsync("save", "nobody")).FailedWith("KMT9006", 2);
        (await Kaslrmt.CallAsync("migrate", "nobody", "--to", "h:1")).FailedWith("KMT9006", 2);
        (await Kaslrmt.CallAsync("receive", "web1", "--listen", "h:1", "--store", $"sqlite:{_scratch.At("db")}")).FailedWith("KMT9016", 2);
    }

    [Fact]
    public async Task A_file_that_another_user_owns_is_refused_whatever_its_mode()
    {
        // Only root can give a file away, and only root could read one of mode 0600.
        if (Environment.IsPrivilegedProcess)
        {
            string file = _scratch.Write("saved", "kaslrmt saved 1\n"), table = _scratch.At("tenants.db");
            Assert.Equal(0, (await Kaslrmt.CallAsync("tenant", "list", "--store", $"sqlite:{table}")).Code);
            foreach (string path in (string[])[file, table])
            {
                using Process chown = Process.Start("chown", ["65534", path]);
                await chown.WaitForExitAsync();
                Assert.Equal(0, chown.ExitCode);
            }

            Call restored = await Kaslrmt.CallAsync("restore", "web1", "--input", file);
            restored.FailedWith("KMT9015", 3);
            Assert.Contains("belongs to another user", restored.Error, StringComparison.Ordinal);
            (await Kaslrmt.CallAsync("tenant", "list", "--store", $"sqlite:{table}")).FailedWith("KMT4021", 3);
        }
    }
}
