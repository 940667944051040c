using System.Diagnostics;
using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>A VM never outlives its owner, however the owner ends, and the next command cleans up.</summary>
public sealed class OwnershipTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Kill_9_of_the_owner_ends_QEMU_and_Sweep_removes_the_rest()
    {
        using Process owner = OwnerProcess.Start("own", _scratch.Runtime.Path, "orphan");
        int qemu = await ReadyAsync(owner);
        Assert.True(TestVm.IsRunning(qemu));
        Assert.Equal(["orphan"], _scratch.Runtime.List().Select(vm => vm.Name));

        owner.Kill();
        await owner.WaitForExitAsync();
        await TestVm.EventuallyAsync(() => !TestVm.IsRunning(qemu), "the end of QEMU");
        string folder = Path.Combine(_scratch.Runtime.Path, "orphan");
        Assert.True(File.Exists(Path.Combine(folder, "left")));

        Assert.Equal(["orphan"], _scratch.Runtime.Sweep());
        Assert.Empty(Directory.EnumerateFileSystemEntries(_scratch.Runtime.Path));
        Assert.Empty(_scratch.Runtime.Sweep());
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    [InlineData("HUP")]
    public async Task A_signal_to_the_owner_stops_the_vm_in_order_and_leaves_nothing(string signal)
    {
        using Process owner = OwnerProcess.Start("own", _scratch.Runtime.Path, "signalled");
        int qemu = await ReadyAsync(owner);
        using (Process kill = Process.Start("kill", [$"-{signal}", $"{owner.Id}"]))
        {
            await kill.WaitForExitAsync();
        }

        Assert.Equal("STOPPED MonitorQuit 0", await owner.StandardOutput.ReadLineAsync());
        await owner.WaitForExitAsync();
        Assert.Equal(0, owner.ExitCode);
        Assert.False(TestVm.IsRunning(qemu));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_scratch.Runtime.Path));
    }

    [Fact]
    public async Task QEMU_is_in_a_session_of_its_own_so_that_a_terminal_signals_the_owner_only()
    {
        using VmFolder folder = _scratch.Runtime.Claim("session");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(
            TestVm.Settings(QemuMachine.Microvm, HaltingKernel.Write(_scratch.At("halt.elf"))), folder);
        string stat = File.ReadAllText($"/proc/{vm.ProcessId}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        Assert.Equal(($"{vm.ProcessId}", $"{vm.ProcessId}"), (fields[2], fields[3]));
        Assert.DoesNotContain(Path.Combine(folder.Path, "lock"), Directory.EnumerateFileSystemEntries($"/proc/{vm.ProcessId}/fd")
            .Select(descriptor => new FileInfo(descriptor).LinkTarget));
    }

    [Fact]
    public async Task Sweep_ends_a_QEMU_that_did_outlive_its_owner_noted_or_not()
    {
        foreach (bool noted in new[] { true, false })
        {
            // What a dead owner would leave if its death signal had failed: a folder, a free lock, a QEMU.
            string folder = Path.Combine(_scratch.Runtime.Path, $"left-{noted}");
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            File.WriteAllText(Path.Combine(folder, "lock"), "");
            using Process qemu = Process.Start(
                "qemu-system-x86_64", ["-M", "microvm", "-S", "-nodefaults", "-display", "none", "-pidfile", Path.Combine(folder, "qemu.pid")]);
            if (noted)
            {
                File.WriteAllText(
                    Path.Combine(folder, "state.json"),
                    $$"""{"name":"left","ownerProcess":1,"ownerStartTime":0,"qemuProcess":{{qemu.Id}},"qemuStartTime":{{ProcessIdentity.StartTime(qemu.Id)}}}""");
            }

            await TestVm.EventuallyAsync(() => ProcessIdentity.CommandLine(qemu.Id).StartsWith("qemu", StringComparison.Ordinal), "QEMU's start");
            Assert.Equal([$"left-{noted}"], _scratch.Runtime.Sweep());
            await qemu.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(5));
            Assert.False(Directory.Exists(folder));
        }
    }

    [Fact]
    public void Sweep_never_ends_a_process_that_is_not_the_folders()
    {
        // The noted number and start time are right, but the process is no QEMU of this folder: this test's own.
        string folder = Path.Combine(_scratch.Runtime.Path, "innocent");
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.WriteAllText(Path.Combine(folder, "lock"), "");
        using Process bystander = Process.Start("sleep", ["60"]);
        File.WriteAllText(
            Path.Combine(folder, "state.json"),
            $$"""{"name":"x","ownerProcess":1,"ownerStartTime":0,"qemuProcess":{{bystander.Id}},"qemuStartTime":{{ProcessIdentity.StartTime(bystander.Id)}}}""");
        Assert.Equal(["innocent"], _scratch.Runtime.Sweep());
        Assert.False(bystander.HasExited);
        bystander.Kill();
    }

    [Fact]
    public async Task Ending_a_process_that_was_let_go_of_harms_nothing()
    {
        // The owner of a VM lets go of a QEMU that it saw end, while a move that has just succeeded makes sure of that end.
        MachineDefinition definition = TestVm.Settings(QemuMachine.Microvm, "/dev/null") with { Program = "/bin/true", OutlivesOwner = true };
        QemuProcess process = await QemuProcess.StartAsync(definition, []);
        await process.Exited;
        process.Dispose();
        process.Kill();
        process.Dispose();
    }

    [Fact]
    public void A_handle_that_was_let_go_of_signals_nobody()
    {
        using Process bystander = Process.Start("sleep", ["60"]);
        ProcessHandle handle = ProcessHandle.TryOpen(bystander.Id)!;
        handle.Dispose();
        Assert.False(handle.Signal(Linux.SIGKILL));
        Assert.False(bystander.HasExited);
        bystander.Kill();
    }

    [Fact]
    public async Task QEMU_gets_no_variable_that_it_has_no_use_for_and_its_path_may_have_any_character()
    {
        const string Secret = "KASLRMT_TEST_SECRET";
        string program = _scratch.Write(
            "qemu=7.2", $"#!/bin/sh\npwd >{_scratch.At("where")}\nenv >{_scratch.At("variables")}\n", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        MachineDefinition definition = TestVm.Settings(QemuMachine.Microvm, "/dev/null") with { Program = program, OutlivesOwner = true, WorkingDirectory = "/usr" };
        Environment.SetEnvironmentVariable(Secret, "a password");
        try
        {
            using QemuProcess process = await QemuProcess.StartAsync(definition, []);
            Assert.Equal(0, await process.Exited);
        }
        finally
        {
            Environment.SetEnvironmentVariable(Secret, null);
        }

        Assert.Equal("/usr", File.ReadAllText(_scratch.At("where")).Trim());
        string[] variables = [.. File.ReadLines(_scratch.At("variables")).Select(line => line.Split('=')[0])];
        Assert.Contains("PATH", variables);
        Assert.DoesNotContain(Secret, variables);
    }

    [Fact]
    public void QEMU_under_another_user_gets_nothing_of_this_user_s()
    {
        KeyValuePair<string, string>[] ours =
            [.. "PATH LC_ALL HOME DBUS_SESSION_BUS_ADDRESS QEMU_AUDIO_DRV CREDENTIALS_DIRECTORY NOTIFY_SOCKET".Split(' ').Select(name => KeyValuePair.Create(name, "x"))];
        MachineDefinition own = TestVm.Settings(QemuMachine.Microvm, "/dev/null");
        Assert.Equal(["PATH=x", "LC_ALL=x", "HOME=x", "DBUS_SESSION_BUS_ADDRESS=x", "QEMU_AUDIO_DRV=x"], QemuLaunch.Variables(own, ours));
        Assert.Equal(["PATH=x", "LC_ALL=x"], QemuLaunch.Variables(own with { RunAs = new ProcessUser(65534, 65534, []) }, ours));
    }

    [Fact]
    public async Task The_last_words_of_a_process_that_ends_at_once_are_known()
    {
        using DetachedProcess process = DetachedProcess.Start("/bin/sh", ["-c", "echo one; echo two >&2; exit 3"]);
        Assert.Equal("two", await process.LastLineAsync());
        Assert.Equal(3, await process.Exited);
        using DetachedProcess silent = DetachedProcess.Start("/bin/sh", ["-c", "kill -9 $$"]);
        Assert.Null(await silent.LastLineAsync());
        Assert.Null(await silent.Exited);
    }

    private static async Task<int> ReadyAsync(Process owner)
    {
        string? line = await owner.StandardOutput.ReadLineAsync().WaitAsync(TestVm.BootLimit);
        Assert.StartsWith("READY ", line, StringComparison.Ordinal);
        return int.Parse(line![6..], System.Globalization.CultureInfo.InvariantCulture);
    }
}
