using System.Net.Sockets;
using System.Text;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>Real QEMU: how VMs start, end, and say why.</summary>
public sealed class VirtualMachineTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("pc", "reboot -f", ShutdownReason.Reboot, 2)]
    [InlineData("q35", "poweroff -f", ShutdownReason.GuestShutdown, 2)]
    [InlineData("microvm", "reboot -f", ShutdownReason.Reboot, 2)]
    [InlineData("microvm,acpi=off", "reboot -f", ShutdownReason.Reboot, 1)]
    public async Task A_guest_boots_and_its_end_has_the_right_reason(string machine, string command, ShutdownReason expected, int cpusSeen)
    {
        string log = _scratch.At("serial");
        MachineDefinition settings = TestVm.Settings(QemuMachine.Parse(machine)) with
        {
            Cpus = 2,
            Initrd = Initramfs.BuildTo(_scratch.At("initrd"), $"echo INIT RUNS; nproc; {command}; sleep 60"),
            CommandLine = "console=ttyS0 quiet panic=-1",
            Console = SerialConsole.ToFile(log),
        };
        using VmFolder folder = _scratch.Runtime.Claim("guest");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
        VmExit exit = await vm.WaitForExitAsync().WaitAsync(TestVm.BootLimit);
        Assert.Equal((expected, 0, null), (exit.Reason, exit.ExitCode, exit.Signal));
        Assert.Contains($"INIT RUNS\r\n{cpusSeen}", File.ReadAllText(log), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_paused_vm_begins_when_told_and_its_kernel_file_may_be_gone_by_then()
    {
        string kernel = _scratch.At("kernel");
        File.Copy(TestKernels.Image("6.12-cloud"), kernel);
        MachineDefinition settings = TestVm.Settings(QemuMachine.Q35, kernel) with
        {
            StartPaused = true,
            CommandLine = "earlyprintk=ttyS0",
            Console = SerialConsole.ToFile(_scratch.At("serial")),
        };
        using VmFolder folder = _scratch.Runtime.Claim("paused");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
        Assert.Equal("prelaunch", await vm.StatusAsync());
        File.Delete(kernel);
        await vm.ContinueAsync();
        await TestVm.EventuallyAsync(
            () => File.ReadAllText(_scratch.At("serial")).Contains("Linux version 6.12", StringComparison.Ordinal), "the kernel's first line");
    }

    [Fact]
    public async Task Stop_lets_the_guest_power_off_in_order()
    {
        string log = _scratch.At("serial");
        MachineDefinition settings = TestVm.Settings(QemuMachine.Q35) with
        {
            Initrd = Initramfs.BuildTo(
                _scratch.At("initrd"),
                "echo INIT RUNS; while ! grep -q LNXPWRBN /sys/bus/acpi/devices/*/hid; do sleep 1; done; cat /dev/input/event0 | head -c 1 >/dev/null; poweroff -f"),
            CommandLine = "console=ttyS0 quiet",
            Console = SerialConsole.ToFile(log),
        };
        using VmFolder folder = _scratch.Runtime.Claim("stopped");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
        await TestVm.EventuallyAsync(() => File.ReadAllText(log).Contains("INIT RUNS", StringComparison.Ordinal), "init");
        await Task.Delay(500);
        VmExit exit = await vm.StopAsync(TimeSpan.FromSeconds(20));
        Assert.Equal((ShutdownReason.GuestShutdown, 0), (exit.Reason, exit.ExitCode));
    }

    [Fact]
    public async Task Stop_quits_a_guest_that_does_not_listen()
    {
        using VmFolder folder = _scratch.Runtime.Claim("deaf");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Halting(), folder);
        VmExit exit = await vm.StopAsync(TimeSpan.FromMilliseconds(200));
        Assert.Equal((ShutdownReason.MonitorQuit, 0), (exit.Reason, exit.ExitCode));
    }

    [Fact]
    public async Task Stop_kills_a_QEMU_that_hangs()
    {
        using VmFolder folder = _scratch.Runtime.Claim("hung");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Halting(), folder);
        using (System.Diagnostics.Process stop = System.Diagnostics.Process.Start("kill", ["-STOP", $"{vm.ProcessId}"]))
        {
            await stop.WaitForExitAsync();
        }

        VmExit exit = await vm.StopAsync(TimeSpan.Zero);
        Assert.Equal((ShutdownReason.Unexplained, null, 9), (exit.Reason, exit.ExitCode, exit.Signal));
    }

    [Fact]
    public async Task A_monitor_reset_counts_as_a_reboot()
    {
        using VmFolder folder = _scratch.Runtime.Claim("reset");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Halting(), folder);

        // By another client on the second socket: the owner's connection does not lock other commands out.
        await using QmpClient other = await QmpClient.ConnectAsync(folder.MonitorSocket, TimeSpan.FromSeconds(5));
        await other.ExecuteAsync("system_reset");
        Assert.Equal(ShutdownReason.Reboot, (await vm.WaitForExitAsync().WaitAsync(TestVm.BootLimit)).Reason);
    }

    [Fact]
    public async Task A_QEMU_that_dies_at_once_is_reported_in_its_own_words()
    {
        using VmFolder folder = _scratch.Runtime.Claim("dead");
        MachineDefinition settings = Halting() with { UserArguments = UserArguments.Parse(["-device", "no-such-device"]) };
        KaslrMtException e = await Assert.ThrowsAsync<KaslrMtException>(() => Hypervisor.Default.StartAsync(settings, folder));
        Assert.Equal(HypervisorErrors.VmDied, e.Code);
        Assert.Contains("exit code 1", e.Message, StringComparison.Ordinal);
        Assert.Contains("'no-such-device' is not a valid device model name", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("qemu-system-that-is-not-there")]
    [InlineData("/nonexistent/qemu-system-x86_64")]
    public async Task A_missing_QEMU_names_the_package(string program)
    {
        using VmFolder folder = _scratch.Runtime.Claim("missing");
        KaslrMtException e = await Assert.ThrowsAsync<KaslrMtException>(
            () => Hypervisor.Default.StartAsync(Halting() with { Program = program }, folder));
        Assert.Equal(HypervisorErrors.ProgramMissing, e.Code);
        Assert.Contains("qemu-system-x86", e.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unreadable_files_and_absurd_settings_are_refused_before_QEMU_starts()
    {
        using VmFolder folder = _scratch.Runtime.Claim("refused");
        foreach ((MachineDefinition settings, ErrorCode code) in new[]
        {
            (Halting() with { Kernel = "/nonexistent/kernel" }, HypervisorErrors.FileUnreadable),
            (Halting() with { Initrd = "/nonexistent/initrd" }, HypervisorErrors.FileUnreadable),
            (Halting() with { Kernel = "/" }, HypervisorErrors.FileUnreadable),
            (Halting() with { Cpus = 0 }, HypervisorErrors.SettingInvalid),
            (Halting() with { CommandLine = "a\0b" }, HypervisorErrors.SettingInvalid),
            (Halting() with { CommandLine = new string('a', 2048) }, HypervisorErrors.SettingInvalid),
            (TestVm.Settings(QemuMachine.Q35) with { CommandLine = new string('ä', 1024) }, HypervisorErrors.SettingInvalid),
            (Halting() with { CommandLine = new string('a', 2047) }, HypervisorErrors.SettingInvalid), // reboot=t comes on top
        })
        {
            Assert.Equal(code, (await Assert.ThrowsAsync<KaslrMtException>(() => Hypervisor.Default.StartAsync(settings, folder))).Code);
        }
    }

    [Fact]
    public async Task A_runtime_folder_deeper_than_a_socket_address_and_with_commas_works()
    {
        RuntimeDirectory deep = RuntimeDirectory.Open(Path.Combine(_scratch.Folder, string.Concat(Enumerable.Repeat("deep,er/", 20)), "run"));
        using VmFolder folder = deep.Claim("deep");
        Assert.True(Encoding.UTF8.GetByteCount(folder.MonitorSocket) > 108);
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Halting() with { Console = SerialConsole.ToSocket(folder.ConsoleSocket) }, folder);
        Assert.True(File.Exists(folder.MonitorSocket));
        Assert.True(File.Exists(folder.ConsoleSocket));
        await using QmpClient other = await QmpClient.ConnectAsync(folder.MonitorSocket, TimeSpan.FromSeconds(5));
        Assert.True((await other.ExecuteAsync("query-status")).GetProperty("running").GetBoolean());
    }

    [Fact]
    public async Task A_console_socket_carries_what_the_guest_prints()
    {
        MachineDefinition settings = TestVm.Settings(QemuMachine.Microvm) with { StartPaused = true, CommandLine = "earlyprintk=ttyS0" };
        using VmFolder folder = _scratch.Runtime.Claim("console");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings with { Console = SerialConsole.ToSocket(folder.ConsoleSocket) }, folder);
        using Socket console = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await console.ConnectAsync(new UnixDomainSocketEndPoint(folder.ConsoleSocket));
        await vm.ContinueAsync();
        StringBuilder text = new();
        byte[] block = new byte[4096];
        using CancellationTokenSource limit = new(TestVm.BootLimit);
        while (!text.ToString().Contains("Linux version", StringComparison.Ordinal))
        {
            text.Append(Encoding.ASCII.GetString(block, 0, await console.ReceiveAsync(block, limit.Token)));
        }
    }

    private MachineDefinition Halting() => TestVm.Settings(QemuMachine.Microvm, HaltingKernel.Write(_scratch.At("halt.elf")));
}
