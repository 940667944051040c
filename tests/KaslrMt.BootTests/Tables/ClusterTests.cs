using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Tenants;
using KaslrMt.TestSupport.Etcd;
using KaslrMt.Vms;

namespace KaslrMt.BootTests.Tables;

/// <summary>Two hosts of one etcd, with real VMs.</summary>
public sealed class ClusterTests : IDisposable
{
    private readonly EtcdCluster _etcd = new();
    private readonly TableHost _here = new(), _there = new();

    public ClusterTests()
    {
        KeyRingFile keys = new(_here.Folder.At("kek"), MayCreate: true);
        keys.LoadOrCreate().Dispose();

        // As an operator does it.
        File.Copy(keys.Path, _there.Folder.At("kek"));
        Configure();
    }

    private void Configure(params string[] further)
    {
        foreach (TableHost host in (TableHost[])[_here, _there])
        {
            host.Folder.Configure(
                ["# two hosts of a test", "", $"store = {_etcd.Location("kaslrmt")}", $"key-encryption-key-file = {host.Folder.At("kek")}", .. further]);
        }
    }

    public void Dispose()
    {
        _here.Dispose();
        _there.Dispose();
        _etcd.Dispose();
    }

    [Fact]
    public async Task A_live_migrated_guest_has_its_bases_and_a_VM_started_where_it_went_has_the_same()
    {
        await using TenantTable here = await OpenAsync(_here);
        await using TenantTable there = await OpenAsync(_there);
        Assert.NotEqual(here.Host.Id, there.Host.Id);
        string initrd = GuestInit.WriteTo(_here.Folder.At("initrd"), TableHost.Kernel, "while true; do echo tick; sleep 1; done");
        using LayoutRequest request = new GuestPlan { Memory = "256M", Seed = TestSecrets.Seed("migration") }.Request(new FileInfo(initrd).Length);
        request.Key!.Dispose();

        // A guest starts here, with the key that the table makes.
        using Outcome started = await here.StartAsync("acme", "mover", request.Policy);
        request.Key = TenantKey.Parse(started.TenantKey!.Reveal());
        Guid incarnation = started.Vm!.Incarnation;
        using VmFolder source = _here.Folder.Runtime.Claim("mover"), destination = _there.Folder.Runtime.Claim("mover");
        using PreparedKernel kernel = PreparedKernel.Open(TestKernels.Image(TableHost.Kernel));
        using KernelLayout planned = request.Plan(kernel.Facts.Geometry);
        string image = _here.Folder.At("image");
        kernel.WriteBootImage(planned, image, request.Ram.Overwritten);
        IntendedLayout intended = IntendedLayout.Of(planned, kernel.Facts);
        MachineDefinition settings = new()
        {
            Kernel = image,
            Machine = request.Machine,
            Memory = request.Memory,
            Accelerator = AcceleratorChoice.Decide(Accelerator.Tcg),
            Initrd = initrd,
            CommandLine = request.Line.Text,
            Console = SerialConsole.ToFile(_here.Folder.At("console")),
        };
        await using IVirtualMachine before = await Hypervisor.Default.StartAsync(settings, source);
        using (await here.ReportRunningAsync("mover", incarnation, [ProcessMark.Current, ProcessMark.Of(before.ProcessId)]))
        {
            await SaysAsync(_here, "tick");
        }

        // It moves; at no moment is the tenant without a VM.
        await using IVirtualMachine after = await Hypervisor.Default.StartAsync(
            settings with { Kernel = null, Initrd = null, CommandLine = null, AwaitsMigration = true, Console = SerialConsole.ToFile(_there.Folder.At("console")) },
            destination);
        MigrationAddress address = MigrationAddress.Unix(Path.Combine(destination.Path, "m.sock"));
        await after.ListenAsync(address);
        (await here.BeginMigrationAsync("mover", there.Host.Id, incarnation)).Dispose();
        Assert.Contains("migrating", await _there.DoAsync("ps", "--all"), StringComparison.Ordinal);
        await before.MigrateAsync(address);
        await after.WaitForArrivalAsync();
        (await there.FinishMigrationAsync("mover", [ProcessMark.Current, ProcessMark.Of(after.ProcessId)], incarnation)).Dispose();
        Assert.Equal(ShutdownReason.Migrated, (await before.WaitForExitAsync()).Reason);
        await SaysAsync(_there, "tick");

        // Its memory over there holds what it was given here.
        Dictionary<Region, ulong> moved = await ReadAsync(intended, after);
        Assert.All(planned.Regions, region => Assert.Equal(region.Base, moved[region.Region]));

        // Another VM of the tenant, started there by the command.
        await _there.DoAsync(
            "run", "--detach", "--tenant", "acme", "--name", "mate", "--kernel", TestKernels.Image(TableHost.Kernel), "--initrd", initrd, "--accel", "tcg", "-m", "256M",
            "--append", "console=ttyS0 quiet no_timer_check", "--console", _there.Folder.At("mate"));
        await SaysAsync(_there, "tick", "mate");
        Dictionary<Region, ulong> second;
        await using (IVmConnection mate = await Hypervisor.Default.OpenAsync(_there.Folder.Runtime.List().Single(vm => vm.Name == "mate")))
        {
            IntendedLayout given = IntendedLayout.ReadFrom(Path.Combine(_there.Folder.Runtime.Path, "mate"))!;
            second = await ReadAsync(given, mate);
        }

        Assert.All(TableHost.Shared, region => Assert.Equal(moved[region], second[region]));
        Assert.All(new[] { Region.Physmap, Region.Vmalloc }, region => Assert.NotEqual(moved[region], second[region]));
        JsonNode tenant = await _here.TenantAsync();
        Assert.All(tenant["running"]!.AsArray(), vm => Assert.Equal((there.Host.Id, 1, "running"), ((string)vm!["host"]!, (long)vm["generation"]!, (string)vm["state"]!)));
        Assert.Equal(2, (long)tenant["vms"]!);

        // All stop: the key is gone, from every host's view and from etcd.
        await after.StopAsync(TimeSpan.Zero);
        (await there.StopAsync("mover", incarnation)).Dispose();
        Assert.NotNull((await _here.TenantAsync())["keyId"]);
        Assert.Single(await KeysAsync());
        await _there.DoAsync("stop", "mate", "--grace", "0");
        source.Dispose();
        destination.Dispose();
        await _here.NoKeyIsLeftAsync();
        await _there.NoKeyIsLeftAsync();
        Assert.Empty(await KeysAsync());
    }

    [Fact]
    public async Task A_VM_outlasts_the_stores_absence_and_its_hosts_eviction()
    {
        Configure("lease = 6s");
        using AgentProcess agent = new(_here.Folder);
        await agent.WaitForAnswerAsync();
        await _here.DoAsync(TableHost.Run("vm", "--detach"));
        VmState state = _here.State("vm");
        EtcdNode node = _etcd.Nodes[0];
        node.Freeze();
        await TableHost.EventuallyAsync(() => Task.FromResult(agent.Log.Contains("KMT4040", StringComparison.Ordinal)), "the failure's line in the log");
        node.Thaw();
        await TableHost.EventuallyAsync(() => Task.FromResult(agent.Log.Contains("is back", StringComparison.Ordinal)), "the store's return");
        Assert.Equal(state.ProcessId, _here.State("vm").ProcessId);

        // Its agent stands still, its host is evicted: it counts no more, until the agent goes on.
        string host = (string)(await _here.TenantAsync())["running"]![0]!["host"]!;
        await HostProcesses.SignalAsync(agent.Id, "STOP");
        await TableHost.EventuallyAsync(
            async () => (await _there.DoAsync("ps", "--tenant", "acme")).Contains("in doubt", StringComparison.Ordinal), "the doubt");
        await _there.DoAsync("host", "evict", host);
        Assert.Equal(0, (long)(await _there.TenantAsync())["vms"]!);
        await HostProcesses.SignalAsync(agent.Id, "CONT");
        await TableHost.EventuallyAsync(async () => (long)(await _there.TenantAsync())["vms"]! == 1, "the VM's return to the table");
        await _here.DoAsync("stop", "vm", "--grace", "0");
        await _there.NoKeyIsLeftAsync();
    }

    private Task<TenantTable> OpenAsync(TableHost host) => TenantTable.OpenAsync(new TableSettings
    {
        Store = _etcd.Location("kaslrmt"),
        StateDirectory = host.Folder.StateDirectory,
        KeyFile = host.Folder.At("kek"),

        // Nobody renews this test's own: a slow host must not make its VMs doubtful.
        Lease = TimeSpan.FromMinutes(10),
    });

    private static Task SaysAsync(TableHost host, string words, string console = "console") => TableHost.EventuallyAsync(
        () => Task.FromResult(File.Exists(host.Folder.At(console)) && File.ReadAllText(host.Folder.At(console)).Contains(words, StringComparison.Ordinal)),
        $"'{words}' on the {console}");

    private static async Task<Dictionary<Region, ulong>> ReadAsync(IntendedLayout intended, IVmConnection vm)
    {
        LayoutVerification seen = await LayoutVerification.RunAsync(intended, vm, TableHost.Patience, CancellationToken.None);
        Assert.True(seen.Matches);
        return seen.Regions.ToDictionary(row => row.Region, row => row.Observed!.Value);
    }

    private async Task<IReadOnlyList<(string Key, byte[] Value, long Modified)>> KeysAsync() =>
        Gateway.Pairs(await _etcd.CallAsync("/v3/kv/range", Gateway.Prefix("/kaslrmt/keys/")));
}
