using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using Microsoft.Data.Sqlite;

namespace KaslrMt.BootTests.Tables;

/// <summary><c>save</c> and <c>restore</c>: the guest goes on where it was, its tenant's key stays meanwhile, and a failure harms nothing.</summary>
public sealed class SavingTests : IDisposable
{
    private readonly TableHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task A_saved_VM_keeps_its_tenants_key_and_goes_on_with_its_layout()
    {
        await _host.DoAsync(TableHost.Run("kept", "--detach"));
        ulong[] bases = _host.SharedBases("kept");
        JsonNode done = JsonNode.Parse((await KaslrmtProcess.RunAsync(_host.Folder, "save", "kept", "--json")).Output)!;
        string file = (string)done["file"]!;
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        Assert.True((long)done["bytes"]! > 1 << 20);
        Assert.Empty(_host.Folder.Leftovers);
        JsonNode tenant = await _host.TenantAsync();
        Assert.Equal((1, "saved"), ((long)tenant["vms"]!, (string)tenant["running"]![0]!["state"]!));
        Assert.NotNull(tenant["keyId"]);

        // Another of the tenant has the same bases while the first has no process.
        await _host.DoAsync(TableHost.Run("mate", "--detach"));
        Assert.Equal(bases, _host.SharedBases("mate"));
        await _host.DoAsync("stop", "mate", "--grace", "0");

        // What cannot be restored stays saved.
        string damaged = _host.Folder.At("damaged");
        byte[] state = File.ReadAllBytes(file);
        File.WriteAllBytes(damaged, state[..(state.Length / 2)]);
        File.SetUnixFileMode(damaged, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_host.Folder, "restore", "kept", "--input", damaged);
        Assert.True(code == 4 && error.Contains("KMT3061", StringComparison.Ordinal), error);
        Assert.Empty(_host.Folder.Leftovers);
        Assert.Equal("saved", (string)(await _host.TenantAsync())["running"]![0]!["state"]!);

        string said = await _host.DoAsync("restore", "kept");
        Assert.Contains("layout verified", said, StringComparison.Ordinal);
        Assert.Equal(bases, _host.SharedBases("kept"));
        Assert.False(File.Exists(file));
        Assert.Equal("running", (string)(await _host.TenantAsync())["running"]![0]!["state"]!);

        // The copy of a state that has gone on is refused, saved again or not.
        File.WriteAllBytes(damaged, state);
        (code, _, error) = await KaslrmtProcess.RunAsync(_host.Folder, "restore", "kept", "--input", damaged);
        Assert.True(code == 4, error);
        await _host.DoAsync("save", "kept", "--output", file);
        (code, _, error) = await KaslrmtProcess.RunAsync(_host.Folder, "restore", "kept", "--input", damaged);
        Assert.True(code == 3 && error.Contains("KMT9015", StringComparison.Ordinal), error);

        // Restored, its supervisor killed, adopted, rebooted: it still has its tenant's bases.
        await _host.DoAsync("restore", "kept", "--input", file);
        TableHost.Kill(_host.State("kept").OwnerProcess);
        await TableHost.EventuallyAsync(() => Task.FromResult(!_host.State("kept").OwnerLives), "the agent's end");
        await _host.DoAsync("ps");
        await using (QmpClient monitor = await QmpClient.ConnectAsync(Path.Combine(_host.Folder.Runtime.Path, "kept", "qmp.sock"), TableHost.Patience))
        {
            await monitor.ExecuteAsync("system_reset");
        }

        await TableHost.EventuallyAsync(() => Task.FromResult(_host.State("kept") is { Reboots: 1, ProcessId: not null }), "the reboot");
        Assert.Equal(bases, _host.SharedBases("kept"));
        await _host.DoAsync("stop", "kept", "--grace", "0");
        await _host.NoKeyIsLeftAsync();
    }

    [Fact]
    public async Task A_file_left_behind_by_a_save_whose_agent_died_is_worthless_once_the_VM_has_gone_on()
    {
        await _host.DoAsync(TableHost.Run("kept", "--detach"));
        string left = _host.Folder.At("left"), file = _host.Folder.At("file");
        using (var raw = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = _host.Folder.At("state/tenants.db"), Pooling = false }.ToString()))
        {
            // The table's change waits for the lock, with the file whole.
            raw.Open();
            using SqliteTransaction held = raw.BeginTransaction(deferred: false);
            using KaslrmtProcess saving = new(_host.Folder, "save", "kept", "--output", left);
            await TableHost.EventuallyAsync(() => Task.FromResult(File.Exists(left)), "the whole file");
            TableHost.Kill(_host.State("kept").OwnerProcess);
            await saving.EndAsync();
        }

        await _host.DoAsync("ps");
        await TableHost.EventuallyAsync(async () => (string)(await _host.TenantAsync())["running"]![0]!["state"]! == "running", "its going on");
        await _host.DoAsync("save", "kept", "--output", file);
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_host.Folder, "restore", "kept", "--input", left);
        Assert.True(code == 3 && error.Contains("KMT9015", StringComparison.Ordinal), error);
        await _host.DoAsync("restore", "kept", "--input", file);
        await _host.DoAsync("stop", "kept", "--grace", "0");
        await _host.NoKeyIsLeftAsync();
    }

    [Fact]
    public async Task A_save_that_fails_leaves_the_VM_running_and_no_file()
    {
        await _host.DoAsync(TableHost.Run("vm", "--detach"));
        VmState before = _host.State("vm");
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_host.Folder, "save", "vm", "--output", "/no/such/folder/file");
        Assert.True(code == 3 && error.Contains("KMT2601", StringComparison.Ordinal), error);
        (code, _, error) = await KaslrmtProcess.RunAsync(_host.Folder, "save", "vm", "--output", "/dev/full");
        Assert.True(code == 2, error);
        Assert.Equal((before.ProcessId, false), (_host.State("vm").ProcessId, _host.State("vm").Moving));
        Assert.Contains("running", await _host.DoAsync("ps"), StringComparison.Ordinal);

        // And on one that is not detached.
        using (KaslrmtProcess foreground = new(_host.Folder, TableHost.Run("front", "--console", "none")))
        {
            await TableHost.EventuallyAsync(() => Task.FromResult(_host.Folder.Runtime.List().Any(vm => vm is { Name: "front", State.ProcessId: not null })), "the VM in the foreground");
            (code, _, error) = await KaslrmtProcess.RunAsync(_host.Folder, "save", "front");
            Assert.True(code == 2 && error.Contains("KMT9016", StringComparison.Ordinal), error);
            await foreground.SignalAsync("INT");
            await foreground.EndAsync();
        }

        await _host.DoAsync("stop", "vm", "--grace", "0");
        await _host.NoKeyIsLeftAsync();
    }
}
