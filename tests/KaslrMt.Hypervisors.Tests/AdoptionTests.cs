using System.Diagnostics;
using System.Globalization;
using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>A detached VM outlives its owner, is taken over by one new owner, and what is not it is never touched.</summary>
public sealed class AdoptionTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Kill_9_of_the_owner_leaves_a_detached_vm_that_one_of_many_adopts_and_ends_in_order()
    {
        using Process owner = OwnerProcess.Start("own", _scratch.Runtime.Path, "orphan", "detached");
        string? line = await owner.StandardOutput.ReadLineAsync().WaitAsync(TestVm.BootLimit);
        int qemu = int.Parse(line!["READY ".Length..], CultureInfo.InvariantCulture);
        Assert.Null(_scratch.Runtime.TryAdopt("orphan"));
        owner.Kill();
        await owner.WaitForExitAsync();

        List<string> orphans = [];
        Assert.Empty(_scratch.Runtime.Sweep(orphans));
        Assert.Equal(["orphan"], orphans);
        Assert.Equal(HypervisorErrors.NameInUse, Assert.Throws<KaslrMtException>(() => _scratch.Runtime.Claim("orphan")).Code);
        Assert.True(TestVm.IsRunning(qemu));
        RunningVm seen = Assert.Single(_scratch.Runtime.List());
        Assert.False(seen.State!.OwnerLives);

        VmFolder?[] won = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => _scratch.Runtime.TryAdopt("orphan"))));
        using VmFolder adopted = Assert.Single(won.OfType<VmFolder>());
        Assert.True(adopted.ReadState() is { OwnerLives: true, Detached: true });
        VmState state = adopted.ReadState()!;
        await using IVirtualMachine vm = (await Hypervisor.Default.AttachAsync(adopted, qemu, state.ProcessStartTime!.Value, TestVm.BootLimit))!;
        Assert.Equal((qemu, state.ProcessStartTime.Value), (vm.ProcessId, vm.ProcessStartTime));
        VmExit exit = await vm.StopAsync(TimeSpan.Zero);
        Assert.Equal((ShutdownReason.MonitorQuit, (int?)null), (exit.Reason, exit.ExitCode));
        Assert.False(TestVm.IsRunning(qemu));
    }

    [Fact]
    public async Task Kill_9_of_an_adopted_QEMU_is_noticed()
    {
        using Process owner = OwnerProcess.Start("own", _scratch.Runtime.Path, "orphan", "detached");
        string? line = await owner.StandardOutput.ReadLineAsync().WaitAsync(TestVm.BootLimit);
        int qemu = int.Parse(line!["READY ".Length..], CultureInfo.InvariantCulture);
        owner.Kill();
        await owner.WaitForExitAsync();
        using VmFolder folder = _scratch.Runtime.TryAdopt("orphan")!;
        await using IVirtualMachine vm = (await Hypervisor.Default.AttachAsync(
            folder, qemu, folder.ReadState()!.ProcessStartTime!.Value, TestVm.BootLimit))!;
        using Process process = Process.GetProcessById(qemu);
        process.Kill();
        VmExit exit = await vm.WaitForExitAsync().WaitAsync(TestVm.BootLimit);
        Assert.Equal(ShutdownReason.Unexplained, exit.Reason);
        Assert.Null(await Hypervisor.Default.AttachAsync(folder, qemu, vm.ProcessStartTime, TestVm.BootLimit));
    }

    [Theory]
    [InlineData(true, true, true)]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    public Task A_process_that_only_has_the_number_is_neither_adopted_nor_harmed(bool isQemuOfTheFolder, bool startTimeIsRight, bool expected) =>
        AdoptsAsync(isQemuOfTheFolder, startTimeIsRight, expected);

    [Fact]
    public void A_detached_vm_between_two_boots_goes_on_and_one_that_never_ran_does_not()
    {
        Folder("rebooting", """{"name":"rebooting","ownerProcess":1,"ownerStartTime":0,"detached":true,"reboots":3}""");
        Folder("unborn", """{"name":"unborn","ownerProcess":1,"ownerStartTime":0,"detached":true,"reboots":0}""");
        Folder("foreground", """{"name":"foreground","ownerProcess":1,"ownerStartTime":0,"reboots":3}""");
        Folder("torn", """{"name":"torn","ownerPro""");
        List<string> orphans = [];
        Assert.Equal(["foreground", "torn", "unborn"], _scratch.Runtime.Sweep(orphans).Order(StringComparer.Ordinal));
        Assert.Equal(["rebooting"], orphans);
        using VmFolder? folder = _scratch.Runtime.TryAdopt("rebooting");
        Assert.NotNull(folder);
        folder.Abandon();
        Assert.NotNull(VmFolder.ReadState(folder.Path));
    }

    private async Task AdoptsAsync(bool isQemuOfTheFolder, bool startTimeIsRight, bool expected)
    {
        string folder = Path.Combine(_scratch.Runtime.Path, "vm");
        string[] arguments = isQemuOfTheFolder
            ? ["-M", "microvm", "-S", "-nodefaults", "-display", "none", "-pidfile", Path.Combine(folder, "qemu.pid")]
            : ["-M", "microvm", "-S", "-nodefaults", "-display", "none", "-pidfile", _scratch.At("other.pid")];
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using Process process = Process.Start("qemu-system-x86_64", arguments);
        await TestVm.EventuallyAsync(() => ProcessIdentity.CommandLine(process.Id).StartsWith("qemu", StringComparison.Ordinal), "QEMU's start");
        ulong start = ProcessIdentity.StartTime(process.Id)!.Value - (startTimeIsRight ? 0u : 1u);
        Folder("vm", $$"""{"name":"vm","ownerProcess":1,"ownerStartTime":0,"detached":true,"qemuProcess":{{process.Id}},"qemuStartTime":{{start}}}""");
        try
        {
            using VmFolder? adopted = _scratch.Runtime.TryAdopt("vm");
            Assert.Equal(expected, adopted is not null);
            Assert.Equal(expected ? [] : ["vm"], _scratch.Runtime.Sweep());
            Assert.False(process.HasExited);
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
        }
    }

    private void Folder(string name, string state)
    {
        string folder = Path.Combine(_scratch.Runtime.Path, name);
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.WriteAllText(Path.Combine(folder, "lock"), "");
        File.WriteAllText(Path.Combine(folder, "state.json"), state);
    }
}
