using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests.Tables;

/// <summary>The tenant table of one host, in SQLite, with real VMs.</summary>
public sealed class OneHostTests : IDisposable
{
    private readonly TableHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task VMs_of_a_tenant_share_its_bases_and_its_key_goes_with_the_last()
    {
        string initrd = Initramfs.BuildTo(_host.Folder.At("initrd"), "sleep 100000");
        await _host.DoAsync(TableHost.Run("a", "--detach", "--initrd", initrd));
        await _host.DoAsync(TableHost.Run("b", "--detach", "--initrd", initrd));
        ulong[] bases = _host.SharedBases("a");
        Assert.Equal(bases, _host.SharedBases("b"));
        JsonNode tenant = await _host.TenantAsync();
        Assert.Equal((2, 1), ((long)tenant["vms"]!, (long)tenant["generation"]!));

        // With the key from the table, which stays out of the guests.
        JsonArray audited = JsonNode.Parse(await _host.DoAsync("audit", "a", "b", "--json"))!.AsArray();
        Assert.Equal(12, audited.Sum(guest => guest!["checks"]!.AsArray().Count(check => (string)check!["result"]! == "clean")));

        Assert.All(tenant["running"]!.AsArray(), vm => Assert.StartsWith("6.12", (string)vm!["release"]!, StringComparison.Ordinal));

        // The first ends: the second keeps the key, which a third gets, whatever was asked for meanwhile.
        await _host.DoAsync("tenant", "rotate", "acme");
        await _host.DoAsync("stop", "a", "--grace", "0");
        await _host.DoAsync(TableHost.Run("c", "--detach"));
        Assert.Equal(bases, _host.SharedBases("c"));
        await _host.DoAsync("stop", "b", "--grace", "0");
        await _host.DoAsync("stop", "c", "--grace", "0");
        await _host.NoKeyIsLeftAsync();

        await _host.DoAsync(TableHost.Run("d", "--detach"));
        Assert.NotEqual(bases, _host.SharedBases("d"));
        Assert.Equal(2, (long)(await _host.TenantAsync())["generation"]!);
        Assert.Contains("  2  ", await _host.DoAsync("ps"), StringComparison.Ordinal);
        await _host.DoAsync("stop", "d", "--grace", "0");
        await _host.NoKeyIsLeftAsync();
        await _host.DoAsync("tenant", "remove", "acme");
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_host.Folder, "tenant", "show", "acme");
        Assert.True(code == 2 && error.Contains("KMT4003", StringComparison.Ordinal), error);
    }

    [Fact]
    public async Task Kill_9_of_the_owner_is_settled_by_the_next_command()
    {
        // Of a supervisor: its VM lives on, counts on under the same key, and gets a new owner.
        await _host.DoAsync(TableHost.Run("kept", "--detach"));
        ulong[] bases = _host.SharedBases("kept");
        int supervisor = _host.State("kept").OwnerProcess;
        TableHost.Kill(supervisor);
        await TableHost.EventuallyAsync(() => Task.FromResult(!_host.State("kept").OwnerLives), "the agent's end");
        Assert.Equal(1, (long)(await _host.TenantAsync())["vms"]!);
        Assert.NotEqual(supervisor, _host.State("kept").OwnerProcess);
        await _host.DoAsync(TableHost.Run("mate", "--detach"));
        Assert.Equal(bases, _host.SharedBases("mate"));
        await _host.DoAsync("stop", "mate", "--grace", "0");

        // Of the new one and QEMU.
        VmState both = _host.State("kept");
        TableHost.Kill(both.OwnerProcess);
        TableHost.Kill(both.ProcessId);
        await TableHost.EventuallyAsync(() => Task.FromResult(!both.OwnerLives), "the agent's end");
        Assert.Contains("it counts no more", await _host.DoAsync("tenant", "list"), StringComparison.Ordinal);
        await _host.NoKeyIsLeftAsync();

        // Of an owner in the foreground, whose QEMU dies with it.
        using (KaslrmtProcess foreground = new(_host.Folder, TableHost.Run("front", "--console", "none")))
        {
            await TableHost.EventuallyAsync(RunsAsync, "the VM in the foreground");
            await foreground.SignalAsync("KILL");
            await foreground.EndAsync();
        }

        await TableHost.EventuallyAsync(async () => (long)(await _host.TenantAsync())["vms"]! == 0, "the key's end");
        await _host.NoKeyIsLeftAsync();
    }

    [Fact]
    public async Task A_guest_that_reboots_with_another_kernel_under_an_agent_without_the_key_has_the_tenants_bases()
    {
        string kernel = _host.Folder.At("vmlinuz");
        string[] words = TableHost.Run("old", "--detach");
        words[Array.IndexOf(words, "--kernel") + 1] = kernel;
        File.Copy(TestKernels.Image(TableHost.Kernel), kernel);
        await _host.DoAsync(words);
        TableHost.Kill(_host.State("old").OwnerProcess);
        await TableHost.EventuallyAsync(() => Task.FromResult(!_host.State("old").OwnerLives), "the agent's end");
        File.Delete(kernel);
        File.Copy(TestKernels.Image("6.1-cloud"), kernel);
        await _host.DoAsync("ps");
        await using (QmpClient monitor = await QmpClient.ConnectAsync(Path.Combine(_host.Folder.Runtime.Path, "old", "qmp.sock"), TableHost.Patience))
        {
            await monitor.ExecuteAsync("system_reset");
        }

        await TableHost.EventuallyAsync(() => Task.FromResult(_host.State("old") is { Reboots: 1, ProcessId: not null }), "the reboot");
        await _host.DoAsync("verify", "old");
        words[Array.IndexOf(words, "--name") + 1] = "new";
        await _host.DoAsync(words);
        Assert.Equal(_host.SharedBases("new"), _host.SharedBases("old"));
        await _host.DoAsync("stop", "old", "--grace", "0");
        await _host.DoAsync("stop", "new", "--grace", "0");
        await _host.NoKeyIsLeftAsync();
    }

    [Fact]
    public async Task Ctrl_C_and_a_start_that_fails_leave_no_key()
    {
        using (KaslrmtProcess foreground = new(_host.Folder, TableHost.Run("front", "--console", "none")))
        {
            await TableHost.EventuallyAsync(RunsAsync, "the VM in the foreground");
            await foreground.SignalAsync("INT");
            Assert.Equal(130, (await foreground.EndAsync()).ExitCode);
        }

        await _host.NoKeyIsLeftAsync();
        string broken = _host.Folder.At("broken");
        File.WriteAllText(broken, new string('x', 5000));
        foreach (string[] how in (string[][])[[], ["--detach"], ["--qemu", "/no/such/qemu"]])
        {
            string[] words = [.. TableHost.Run("failing", how)];
            words[Array.IndexOf(words, "--kernel") + 1] = how is ["--qemu", ..] ? words[Array.IndexOf(words, "--kernel") + 1] : broken;
            (int code, _, string error) = await KaslrmtProcess.RunAsync(_host.Folder, words);
            Assert.True(code is 3 or 4 && error.Contains("KMT", StringComparison.Ordinal), error);
            await _host.NoKeyIsLeftAsync();
        }
    }

    private async Task<bool> RunsAsync() =>
        (await KaslrmtProcess.RunAsync(_host.Folder, "ps", "--tenant", "acme", "--json")).Output.Contains("\"running\"", StringComparison.Ordinal);
}
