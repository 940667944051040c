using System.Net.Sockets;
using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.TestSupport.Etcd;
using KaslrMt.Vms;

namespace KaslrMt.BootTests.Tables;

/// <summary><c>receive</c> and <c>migrate</c> between two hosts of one etcd.</summary>
public sealed class MovingTests : IDisposable
{
    private readonly EtcdCluster _etcd = new();
    private readonly TableHost _here = new(), _there = new();

    public MovingTests()
    {
        KeyRingFile keys = new(_here.Folder.At("kek"), MayCreate: true);
        keys.LoadOrCreate().Dispose();
        File.Copy(keys.Path, _there.Folder.At("kek"));
        foreach (TableHost host in (TableHost[])[_here, _there])
        {
            host.Folder.Configure($"store = {_etcd.Location("kaslrmt")}", $"key-encryption-key-file = {host.Folder.At("kek")}");
        }
    }

    public void Dispose()
    {
        _here.Dispose();
        _there.Dispose();
        _etcd.Dispose();
    }

    [Fact]
    public async Task A_VM_moves_by_two_commands_with_its_layout_and_back_again()
    {
        await _here.DoAsync(TableHost.Run("mover", "--detach"));
        ulong[] bases = _here.SharedBases("mover");
        string host = (string)(await _here.TenantAsync())["running"]![0]!["host"]!;
        JsonNode done = await MoveAsync(_here, _there);
        Assert.NotEqual(host, (string)done["host"]!);
        Assert.Empty(_here.Folder.Leftovers);
        Assert.Equal(bases, _there.SharedBases("mover"));
        await _there.DoAsync("verify", "mover");
        JsonNode tenant = await _here.TenantAsync();
        Assert.Equal((1, 1, "running"), ((long)tenant["vms"]!, (long)tenant["generation"]!, (string)tenant["running"]![0]!["state"]!));
        Assert.Equal((string)done["host"]!, (string)tenant["running"]![0]!["host"]!);

        // Where it was, commands say where it is.
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_here.Folder, "stop", "mover");
        Assert.True(code == 2 && error.Contains("KMT9006", StringComparison.Ordinal) && error.Contains((string)done["host"]!, StringComparison.Ordinal), error);
        string shown = await _there.DoAsync("show", "mover");
        Assert.Contains(_etcd.Location("kaslrmt"), shown.ReplaceLineEndings("").Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);

        // Without the store, what runs here is listed all the same.
        _etcd.Nodes[0].Freeze();
        (code, string listed, error) = await KaslrmtProcess.RunAsync(_there.Folder, "ps");
        Assert.True(code == 0 && listed.Contains("mover", StringComparison.Ordinal) && error.Contains("KMT4040", StringComparison.Ordinal), error);
        (code, _, error) = await KaslrmtProcess.RunAsync(_there.Folder, "ps", "--all");
        Assert.True(code == 4 && error.Contains("KMT4040", StringComparison.Ordinal) && error.Contains("endpoint of 127.", StringComparison.Ordinal), error);
        _etcd.Nodes[0].Thaw();

        // A mate where it was has its bases: it is one tenant still.
        await _here.DoAsync(TableHost.Run("mate", "--detach"));
        Assert.Equal(bases, _here.SharedBases("mate"));
        Assert.Equal(host, (string)(await MoveAsync(_there, _here))["host"]!);
        Assert.Equal(bases, _here.SharedBases("mover"));
        await _here.DoAsync("stop", "mate", "--grace", "0");
        await _here.DoAsync("stop", "mover", "--grace", "0");
        await _here.NoKeyIsLeftAsync();
        await _there.NoKeyIsLeftAsync();
    }

    [Fact]
    public async Task A_move_that_fails_leaves_the_VM_where_it_was()
    {
        await _here.DoAsync(TableHost.Run("mover", "--detach"));
        VmState before = _here.State("mover");
        string meeting = $"unix:{_there.Folder.At("meet")}";
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_here.Folder, "migrate", "mover", "--to", meeting);
        Assert.True(code == 4 && error.Contains("KMT9018", StringComparison.Ordinal), error);

        // Somebody else's key-encryption key: sent away, and the right one is still awaited.
        await _there.DoAsync("ps", "--all");
        string kek = File.ReadAllText(_there.Folder.At("kek"));
        using (KaslrmtProcess receiver = await AwaitingAsync(_there, meeting))
        {
            File.WriteAllText(_here.Folder.At("kek"), $"1 {new string('7', 64)}\n");
            (code, _, error) = await KaslrmtProcess.RunAsync(_here.Folder, "migrate", "mover", "--to", meeting);
            Assert.True(code == 4 && error.Contains("KMT9018", StringComparison.Ordinal), error);
            File.WriteAllText(_here.Folder.At("kek"), kek);

            // The destination is killed in the middle: before it has the guest, the source goes on.
            Task<(int Code, string Output, string Error)> moving = KaslrmtProcess.RunAsync(_here.Folder, "migrate", "mover", "--to", meeting);
            await TableHost.EventuallyAsync(() => Task.FromResult(_here.State("mover").Moving || moving.IsCompleted), "the move's beginning");
            await HostProcesses.KillAgentAsync(_there.Folder);
            (code, _, error) = await moving;
            Assert.True(code == 4, error);
            await receiver.EndAsync();
        }

        Assert.Equal((before.ProcessId, false), (_here.State("mover").ProcessId, _here.State("mover").Moving));
        await TableHost.EventuallyAsync(async () => (string)(await _here.TenantAsync())["running"]![0]!["state"]! == "running", "the table's knowing it");
        await _here.DoAsync("verify", "mover");
        Assert.Contains("no VM runs", await _there.DoAsync("ps"), StringComparison.Ordinal);
        Assert.Empty(_there.Folder.Leftovers);

        // Ctrl-C gives up waiting, and leaves nothing.
        using (KaslrmtProcess receiver = await AwaitingAsync(_there, meeting))
        {
            await receiver.SignalAsync("INT");
            Assert.Equal(130, (await receiver.EndAsync()).ExitCode);
        }

        await TableHost.EventuallyAsync(() => Task.FromResult(!_there.Folder.Leftovers.Any()), "the end of the one who waited");
        await _here.DoAsync("stop", "mover", "--grace", "0");
        await _here.NoKeyIsLeftAsync();
    }

    [Fact]
    public async Task Callers_who_say_nothing_or_nonsense_keep_the_source_from_nothing()
    {
        await _here.DoAsync(TableHost.Run("mover", "--detach"));
        string meeting = $"unix:{_there.Folder.At("meet")}";
        using KaslrmtProcess receiver = await AwaitingAsync(_there, meeting);
        List<Stream> silent = [];
        for (int i = 0; i < 40; i++)
        {
            // The socket's file is there a moment before it listens.
            await TableHost.EventuallyAsync(
                async () =>
                {
                    try
                    {
                        silent.Add(await LocalSocket.ConnectAsync(meeting["unix:".Length..], default));
                        await silent[^1].WriteAsync(i % 2 == 0 ? ReadOnlyMemory<byte>.Empty : new byte[100]);
                        return true;
                    }
                    catch (Exception error) when (error is SocketException or IOException)
                    {
                        return false;
                    }
                },
                "being heard");
        }

        (int code, _, string error) = await KaslrmtProcess.RunAsync(_here.Folder, "migrate", "mover", "--to", meeting);
        Assert.True(code == 0, error);
        Assert.Equal(0, (await receiver.EndAsync()).ExitCode);
        silent.ForEach(stream => stream.Dispose());
        await _there.DoAsync("verify", "mover");
        await _there.DoAsync("stop", "mover", "--grace", "0");
        await _here.NoKeyIsLeftAsync();
    }

    public static TheoryData<string, string> CrashPoints
    {
        get
        {
            var points = new TheoryData<string, string>();
            foreach (string point in CrashPoint.Migrate)
            {
                points.Add("source", point);
            }

            foreach (string point in CrashPoint.Receive)
            {
                points.Add("destination", point);
            }

            points.Add("store", "");
            return points;
        }
    }

    [Theory]
    [MemberData(nameof(CrashPoints))]
    public async Task Whatever_fails_in_the_middle_the_VM_runs_on_one_host(string victim, string point)
    {
        await _here.DoAsync(TableHost.Run("mover", "--detach"));
        ulong[] bases = _here.SharedBases("mover");
        if (victim == "source")
        {
            await HostProcesses.KillAgentAsync(_here.Folder);
            _here.Folder.CrashAt = point;
            await _here.DoAsync("ps");
        }

        string meeting = $"unix:{_there.Folder.At("meet")}";
        _there.Folder.CrashAt = victim == "destination" ? point : null;
        using (KaslrmtProcess receiver = await AwaitingAsync(_there, meeting))
        {
            int[] agents = [_here.State("mover").OwnerProcess, Assert.Single(HostProcesses.Agents(_there.Folder))];
            Task moving = KaslrmtProcess.RunAsync(_here.Folder, "migrate", "mover", "--to", meeting);
            if (victim == "store")
            {
                await TableHost.EventuallyAsync(() => Task.FromResult(moving.IsCompleted || _here.Folder.Runtime.List() is not [{ State.Moving: false }]), "the move's beginning");
                _etcd.Nodes[0].Freeze();
                await TableHost.EventuallyAsync(() => Task.FromResult(moving.IsCompleted || _there.Folder.Runtime.List() is [{ State.ProcessId: not null }]), "the guest at its destination");
                _etcd.Nodes[0].Thaw();
            }
            else
            {
                int dying = agents[victim == "source" ? 0 : 1];
                await TableHost.EventuallyAsync(() => Task.FromResult(!Directory.Exists($"/proc/{dying}")), $"the agent's death at {point}");
            }

            await moving;
            await receiver.SignalAsync("INT");
            await receiver.EndAsync();
        }

        (_here.Folder.CrashAt, _there.Folder.CrashAt) = (null, null);

        // The next commands settle it, on both hosts.
        TableHost? home = null;
        await TableHost.EventuallyAsync(
            async () =>
            {
                await _here.DoAsync("ps");
                await _there.DoAsync("ps");
                TableHost[] homes = [.. new[] { _here, _there }.Where(host => host.Folder.Runtime.List().Any())];
                home = homes is [var only] ? only : null;
                return home is not null && (string)(await _here.TenantAsync())["running"]![0]!["state"]! == "running";
            },
            "one host that has it");
        Assert.Equal(bases, home!.SharedBases("mover"));
        await home.DoAsync("verify", "mover");
        await using (QmpClient monitor = await QmpClient.ConnectAsync(Path.Combine(home.Folder.Runtime.Path, "mover", "qmp.sock"), TableHost.Patience))
        {
            Assert.Equal("running", (await monitor.ExecuteAsync("query-status")).GetProperty("status").GetString());
        }

        await home.DoAsync("stop", "mover", "--grace", "0");
        await _here.NoKeyIsLeftAsync();
        await _there.NoKeyIsLeftAsync();
    }

    private static async Task<KaslrmtProcess> AwaitingAsync(TableHost host, string meeting)
    {
        KaslrmtProcess receiver = new(host.Folder, "receive", "mover", "--listen", meeting);
        await TableHost.EventuallyAsync(() => Task.FromResult(File.Exists(meeting["unix:".Length..]) || receiver.HasExited), "the one who waits");
        return receiver;
    }

    private static async Task<JsonNode> MoveAsync(TableHost from, TableHost to)
    {
        string meeting = $"unix:{to.Folder.At("meet")}";
        using KaslrmtProcess receiver = await AwaitingAsync(to, meeting);
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(from.Folder, "migrate", "mover", "--to", meeting, "--json");
        Assert.True(code == 0, error);
        (int received, string name, string words) = await receiver.EndAsync();
        Assert.True(received == 0, words);
        Assert.Equal("mover\n", name);
        Assert.Contains("layout verified", words, StringComparison.Ordinal);
        return JsonNode.Parse(output)!;
    }
}
