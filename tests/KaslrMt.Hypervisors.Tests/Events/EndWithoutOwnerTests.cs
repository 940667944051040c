using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors.Tests.Events;

/// <summary>Real QEMU: the reason of a VM's end is known to an owner that was not there.</summary>
public sealed class EndWithoutOwnerTests : IDisposable
{
    // mov al, 0xfe; out 0x64, al: the keyboard controller pulls the reset line.
    private static readonly byte[] Reset = [0xb0, 0xfe, 0xe6, 0x64];

    // mov dx, 0x505; mov al, 1; out dx, al: pvpanic's port.
    private static readonly byte[] Panic = [0x66, 0xba, 0x05, 0x05, 0xb0, 0x01, 0xee];

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public Task A_guest_that_resets_itself() => EndsAsync(Reset, null, ShutdownReason.Reboot);

    [Fact]
    public Task A_guest_that_panics() => EndsAsync(Panic, null, ShutdownReason.GuestPanic);

    [Fact]
    public Task A_monitor_that_is_told_to_quit() => EndsAsync([], (vm, _) => vm.QuitAsync(), ShutdownReason.MonitorQuit);

    [Fact]
    public Task A_QEMU_that_is_terminated() => EndsAsync([], (_, qemu) => SignalAsync(qemu, Linux.SIGTERM), ShutdownReason.HostSignal);

    [Fact]
    public Task A_QEMU_that_is_killed_ends_without_a_word() => EndsAsync([], (_, qemu) => SignalAsync(qemu, Linux.SIGKILL), ShutdownReason.Unexplained);

    [Fact]
    public async Task A_guest_that_powers_off_in_order()
    {
        MachineDefinition definition = TestVm.Settings(QemuMachine.Q35) with
        {
            Initrd = Initramfs.BuildTo(_scratch.At("initrd"), "poweroff -f; sleep 60"),
            CommandLine = "console=ttyS0 quiet",
        };
        await EndsAsync(definition, null, ShutdownReason.GuestShutdown);
    }

    private static Task SignalAsync(ProcessHandle qemu, int signal)
    {
        Assert.True(qemu.Signal(signal));
        return Task.CompletedTask;
    }

    private Task EndsAsync(byte[] program, Func<IVmConnection, ProcessHandle, Task>? end, ShutdownReason expected) => EndsAsync(
        TestVm.Settings(QemuMachine.Q35, HaltingKernel.Write(_scratch.At("kernel"), program)) with { UserArguments = UserArguments.Parse(["-device", "pvpanic"]) },
        end,
        expected);

    private async Task EndsAsync(MachineDefinition definition, Func<IVmConnection, ProcessHandle, Task>? end, ShutdownReason expected)
    {
        DateTimeOffset before = DateTimeOffset.UtcNow.AddSeconds(-1);
        VmFolder folder = _scratch.Runtime.Claim("orphan");
        IVirtualMachine vm = await Hypervisor.Default.StartAsync(definition with { StartPaused = true, OutlivesOwner = true }, folder);
        using ProcessHandle qemu = ProcessHandle.TryOpen(vm.ProcessId)!;
        try
        {
            VmState state = TestVm.State("orphan", vm) with { Detached = true };
            folder.WriteState(state);
            await vm.ReleaseAsync();
            folder.Abandon();
            Assert.Equal(VmEnd.Unexplained, Hypervisor.Default.ReadEnd(folder.Path));
            await using (IVmConnection other = await Hypervisor.Default.OpenAsync(new RunningVm("orphan", state, folder.Path)))
            {
                Assert.Equal("prelaunch", await other.StatusAsync());
                await other.ContinueAsync();
                await (end?.Invoke(other, qemu) ?? Task.CompletedTask);
            }

            Assert.True(await Task.Run(() => qemu.WaitForExit((int)TestVm.BootLimit.TotalMilliseconds)), "QEMU ends");
            VmEnd seen = Hypervisor.Default.ReadEnd(folder.Path);
            Assert.Equal(expected, seen.Reason);
            Assert.Equal(expected != ShutdownReason.Unexplained, seen.Time >= before);
            await LearnsAsync(state, expected);
        }
        finally
        {
            qemu.Signal(Linux.SIGKILL);
        }
    }

    // What a new owner does: a VM that only reset itself is booted anew, every other end is told by the sweep that removes the rest.
    private async Task LearnsAsync(VmState state, ShutdownReason expected)
    {
        List<string> orphans = [];
        List<EndedVm> ended = [];
        _scratch.Runtime.Sweep(orphans, ended);
        if (expected == ShutdownReason.Reboot)
        {
            Assert.Equal(["orphan"], orphans);
            using VmFolder adopted = _scratch.Runtime.TryAdopt("orphan")!;
            Assert.Null(await Hypervisor.Default.AttachAsync(adopted, state.ProcessId!.Value, state.ProcessStartTime!.Value, TestVm.BootLimit));
            Assert.Equal(expected, Hypervisor.Default.ReadEnd(adopted.Path).Reason);
            return;
        }

        EndedVm told = Assert.Single(ended);
        Assert.Equal(("orphan", expected, state.ProcessId), (told.Name, told.End.Reason, told.State.ProcessId));
        Assert.Empty(orphans);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_scratch.Runtime.Path));
    }
}
