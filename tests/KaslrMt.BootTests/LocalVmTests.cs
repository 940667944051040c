using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Sqlite;
using KaslrMt.Vms;

namespace KaslrMt.BootTests;

/// <summary>A VM that another program runs in its own process, through the library.</summary>
public sealed class LocalVmTests : IDisposable
{
    private const string Kernel = "6.1-cloud";

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_vm_takes_its_key_from_a_store_of_ones_own_and_is_out_of_the_table_when_it_is_stopped()
    {
        List<string> opened = [];
        TenantStoreRegistry stores = TenantStoreRegistry.BuiltIn.With("own", (settings, keys, _) =>
        {
            opened.Add(settings.Store!);
            return Task.FromResult<ITenantStore>(SqliteTenantStore.Open(_scratch.At("own.db"), keys));
        });
        TableSettings table = new() { Store = "own:place", StateDirectory = _scratch.StateDirectory };
        await using VmHost host = VmHost.Open(_scratch.Runtime.Path, stores);
        await using LocalVm vm = await host.StartAsync(Spec("one", "sleep 100000") with { Tenant = "acme", Table = table });
        Assert.True(vm.Verified);
        LayoutVerification found = await vm.VerifyAsync();
        Assert.True(found.Matches);
        Assert.Equal(6, found.Regions.Count);
        Assert.Equal(["own:place"], opened);
        KaslrMtException taken = await Assert.ThrowsAsync<KaslrMtException>(() => host.StartAsync(Spec("one", "sleep 1")));
        Assert.Equal(HypervisorErrors.NameInUse, taken.Code);

        VmExit exit = await vm.StopAsync(TimeSpan.Zero);
        Assert.NotEqual(ShutdownReason.Unexplained, exit.Reason);
        Assert.Equal(exit, await vm.StopAsync());
        Assert.Empty(_scratch.Leftovers);
        await using TenantTable left = await TenantTable.JoinAsync(await stores.OpenAsync(table), table);
        Assert.Empty(await left.Store.VmsAsync().AllAsync());
        Assert.False((await left.Store.FindTenantAsync("acme"))!.HasKey);
    }

    [Fact]
    public async Task A_guest_that_powers_off_ends_its_vm_and_one_that_is_given_up_leaves_nothing()
    {
        await using VmHost host = VmHost.Open(_scratch.Runtime.Path);
        await using LocalVm vm = await host.StartAsync(Spec("two", "poweroff -f") with { Verify = false }, Secrets());
        Assert.Null(vm.Verified);
        Assert.Equal(ShutdownReason.GuestShutdown, (await vm.WaitForExitAsync()).Reason);
        Assert.Empty(_scratch.Leftovers);
        KaslrMtException ended = await Assert.ThrowsAsync<KaslrMtException>(() => vm.VerifyAsync());
        Assert.Equal(VmErrors.NotStarted, ended.Code);

        using CancellationTokenSource giveUp = new();
        Task<LocalVm> starting = host.StartAsync(Spec("three", "sleep 100000"), Secrets(), giveUp.Token);
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starting);
        Assert.Empty(_scratch.Leftovers);
    }

    private static VmSecrets Secrets() => new(TenantKey.Parse(TestSecrets.Key("acme")), null);

    private VmSpec Spec(string name, string then) =>
        VmSpec.Create(name, TestKernels.Image(Kernel), GuestInit.WriteTo(_scratch.At($"{name}.initrd"), Kernel, then)) with
        {
            CommandLine = "console=ttyS0 quiet no_timer_check",
            Accelerator = Accelerator.Tcg,
        };
}
