using System.Buffers.Binary;
using System.Globalization;
using System.Text.RegularExpressions;
using KaslrMt.Guests;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors.Tests.Gate;

/// <summary>Real QEMU: the guest comes to its gate, says what firmware told it, sleeps there, enters the kernel it is given, and comes back at each reset.</summary>
public sealed partial class GateGuestTests : IDisposable
{
    // Clock ticks in a second, as /proc/PID/stat counts: USER_HZ is 100 on every x86-64.
    private const int Ticks = 100;

    private readonly HostFolder _scratch = new();

    public static TheoryData<string> Machines => [.. QemuMachine.All.Select(machine => machine.Argument)];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Machines))]
    public async Task A_guest_comes_to_its_gate_with_the_memory_that_its_machine_type_gives(string machine)
    {
        MachineDefinition settings = Settings(machine);
        using VmFolder folder = _scratch.Runtime.Claim("guest");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
        using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
        Assert.True(gate.IsWaiting);
        FirmwareWords words = gate.ReadWords();
        CheckMap(words, settings);
        Assert.Equal(machine is "microvm,acpi=off", words.Rsdp == 0);

        // TCG's largest processor has five levels.
        Assert.True(words.HasFiveLevels);

        // QEMU has read the file: it is needed no more.
        Assert.Empty(Directory.EnumerateFiles(folder.Path, "gate*"));
    }

    [Theory]
    [InlineData("pc")]
    [InlineData("q35")]
    [InlineData("microvm")]
    public async Task Memory_above_4_GiB_shows(string machine)
    {
        MachineDefinition settings = Settings(machine) with { Memory = new ByteSize(6 * ByteSize.GiB) };
        using VmFolder folder = _scratch.Runtime.Claim("large");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
        using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
        FirmwareWords words = gate.ReadWords();
        CheckMap(words, settings);
        Assert.Contains(words.MemoryMap, entry => entry.Type == 1 && entry.Range.Start.Value == 4 * ByteSize.GiB);
    }

    [Fact]
    public async Task Without_ACPI_the_command_line_names_the_devices()
    {
        MachineDefinition settings = Settings("microvm,acpi=off") with { UserArguments = UserArguments.Parse(["-device", "virtio-rng-device", "-cpu", "qemu64"]) };
        using VmFolder folder = _scratch.Runtime.Claim("devices");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
        using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
        FirmwareWords words = gate.ReadWords();
        Assert.Matches(@"^virtio_mmio\.device=512@0x[0-9a-f]+:\d+$", words.CommandLine);
        Assert.False(words.HasFiveLevels);
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public async Task The_processor_sleeps_while_the_guest_waits(string machine)
    {
        using VmFolder folder = _scratch.Runtime.Claim("sleeper");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Settings(machine), folder);
        using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
        long before = CpuTicks(vm.ProcessId);
        await Task.Delay(TimeSpan.FromSeconds(2));
        long used = CpuTicks(vm.ProcessId) - before;
        Assert.True(gate.IsWaiting);

        // One that spins takes a core, 200 ticks; what 250 looks a second take is a few.
        Assert.InRange(used, 0, 2 * Ticks / 5);
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public async Task Each_reset_brings_the_guest_back_and_the_kernel_it_then_gets_is_the_one_that_runs(string machine)
    {
        using VmFolder folder = _scratch.Runtime.Claim("resets");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Settings(machine), folder);
        using IGuestMemory memory = await vm.OpenMemoryAsync();
        FirmwareWords? first = null;
        for (uint boot = 1; boot <= 3; boot++)
        {
            using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
            FirmwareWords words = gate.ReadWords();
            first ??= words;
            Assert.Equal(first.MemoryMap, words.MemoryMap);

            // The same place each time, and all but a few bytes the same kernel: translated code of the last one would run again.
            uint mark = 0x11111111 * boot;
            Open(gate, words, mark);
            await WaitForBootAsync(memory, boot);
            Assert.Equal(mark, Word(memory, RecordingKernel.Record));
            Assert.False(gate.IsWaiting);
            await ResetAsync(vm);
        }
    }

    [Theory]
    [InlineData("pc")]
    [InlineData("q35")]
    public async Task An_interrupt_that_firmware_has_left_behind_does_no_harm(string machine)
    {
        // cli; until the old interrupt controller holds the clock's interrupt: mov al, 0x0a; out 0x20, al; in al, 0x20; test al, 1; jz; then the gate.
        const int Prologue = 0x800;
        byte[] file = GateFile.Bytes.ToArray();
        byte[] code = [0xfa, 0xb0, 0x0a, 0xe6, 0x20, 0xe4, 0x20, 0xa8, 0x01, 0x74, 0xf6, 0xe9, .. BitConverter.GetBytes(-(Prologue + 16))];
        code.CopyTo(file, 0x1000 + Prologue);
        BitConverter.GetBytes((ulong)GateProtocol.Code + Prologue).CopyTo(file, 0xc0);
        File.WriteAllBytes(_scratch.At("gate"), file);
        using VmFolder folder = _scratch.Runtime.Claim("interrupted");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(TestVm.Settings(QemuMachine.Parse(machine), _scratch.At("gate")), folder);
        using IGuestMemory memory = await vm.OpenMemoryAsync();
        await TestVm.EventuallyAsync(() => Word(memory, GateProtocol.Mailbox + GateProtocol.State) == GateProtocol.Waiting, "a guest that waits");
        uint session = Word(memory, GateProtocol.Mailbox + GateProtocol.Session);

        // A fault would end in a reset, and so end this VM.
        await Task.Delay(300);
        Assert.Equal("running", await vm.StatusAsync());
        Assert.Equal(session, Word(memory, GateProtocol.Mailbox + GateProtocol.Session));
    }

    [Theory]
    [InlineData("q35")]
    [InlineData("microvm")]
    public async Task A_guest_that_is_reset_while_it_is_fed_waits_again(string machine)
    {
        using VmFolder folder = _scratch.Runtime.Claim("twice");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Settings(machine), folder);
        using IGuestMemory memory = await vm.OpenMemoryAsync();
        using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
        FirmwareWords words = gate.ReadWords();

        // All is written while firmware is still to run, which may write over it.
        await vm.PauseAsync();
        await ResetAsync(vm);
        Open(gate, words, 1);
        await vm.ContinueAsync();
        using VmGate again = await vm.WaitForGateAsync(TestVm.BootLimit);

        // All is written when the guest waits once more.
        Open(gate, words, 2);
        Assert.True(again.IsWaiting);
        await Task.Delay(100);
        Assert.True(again.IsWaiting);
        Assert.Equal(0u, Word(memory, RecordingKernel.Boots));
        Open(again, again.ReadWords(), 3);
        await WaitForBootAsync(memory, 1);
        Assert.Equal(3u, Word(memory, RecordingKernel.Record));
    }

    [Theory]
    [InlineData("q35")]
    [InlineData("microvm")]
    public async Task The_kernel_is_entered_as_the_boot_protocol_says_and_nothing_tells_where_it_lies(string machine)
    {
        using VmFolder folder = _scratch.Runtime.Claim("entered");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Settings(machine), folder);
        using IGuestMemory memory = await vm.OpenMemoryAsync();
        using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
        Open(gate, gate.ReadWords(), 1);
        await WaitForBootAsync(memory, 1);

        byte[] record = Read(memory, RecordingKernel.Record, 0x50);
        ulong At(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(record.AsSpan(offset));
        Assert.Equal(GateProtocol.ZeroPage, At(0x08));
        Assert.InRange(At(0x10), GateProtocol.InterruptTable + 0x800, GateProtocol.InterruptTable + 0x1000);
        Assert.Equal(0UL, At(0x18) & 0x600); // IF, DF
        Assert.Equal(0x80000001UL, At(0x20) & 0x80000001); // PG, PE
        Assert.Equal(GateProtocol.PageTables, At(0x28));
        Assert.Equal(0x20UL, At(0x30)); // PAE alone: four levels
        Assert.Equal(0x500u, BinaryPrimitives.ReadUInt32LittleEndian(record.AsSpan(0x38)) & 0x500); // LME, LMA
        Assert.Equal((0x10, 0x18, 0x18, 0x18), (record[0x40], record[0x42], record[0x44], record[0x46]));

        byte[] area = Read(memory, GateProtocol.Area, GateProtocol.AreaPages * 4096);
        byte[] mailbox = area[0x1000..0x2000];
        Assert.Equal(GateProtocol.Entering, BinaryPrimitives.ReadUInt32LittleEndian(mailbox.AsSpan(GateProtocol.State)));
        Assert.Equal(-1, mailbox.AsSpan(GateProtocol.Go, 4).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, mailbox.AsSpan(GateProtocol.Entry, 8).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, mailbox.AsSpan(GateProtocol.Session + 4).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, area.AsSpan(0x7000, 0x1000).IndexOfAnyExcept((byte)0));
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public async Task A_kernel_finds_the_local_APIC_as_it_would_without_a_gate(string machine)
    {
        // Past the hlt of the one and in the hlt of the other: both kernels do nothing.
        string without, with;
        using (VmFolder folder = _scratch.Runtime.Claim("without"))
        {
            MachineDefinition settings = TestVm.Settings(QemuMachine.Parse(machine), HaltingKernel.Write(_scratch.At("halt.elf"), CountBoot()));
            await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
            using IGuestMemory memory = await vm.OpenMemoryAsync();
            await WaitForBootAsync(memory, 1);
            without = await LocalApicAsync(vm);
        }

        using (VmFolder folder = _scratch.Runtime.Claim("with"))
        {
            await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Settings(machine), folder);
            using IGuestMemory memory = await vm.OpenMemoryAsync();
            using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
            Assert.NotEqual(without, await LocalApicAsync(vm));
            Open(gate, gate.ReadWords(), 1);
            await WaitForBootAsync(memory, 1);
            with = await LocalApicAsync(vm);
        }

        Assert.Contains("LVTT", without, StringComparison.Ordinal);
        Assert.Equal(without, with);
    }

    [Fact]
    public async Task A_guest_that_is_fed_while_it_moves_arrives_with_its_kernel_and_comes_to_its_gate_there()
    {
        const ulong Ballast = 0x4000000;
        const int BallastSize = 64 << 20;
        byte[] content = new byte[3 << 20];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(_scratch.At("initrd"), content);
        using SafeFileHandle initrd = File.OpenHandle(_scratch.At("initrd"));
        using VmFolder here = _scratch.Runtime.Claim("source"), there = _scratch.Runtime.Claim("destination");
        await using IVirtualMachine source = await Hypervisor.Default.StartAsync(Settings("q35"), here);
        await using IVirtualMachine destination = await Hypervisor.Default.StartAsync(Settings("q35") with { AwaitsMigration = true }, there);
        using VmGate gate = await source.WaitForGateAsync(TestVm.BootLimit);
        FirmwareWords words = gate.ReadWords();
        PhysicalRange range = new(new PhysicalAddress(0x2000000), (ulong)content.Length);

        // What takes time to move, and lies behind kernel and initrd: their places have been moved when the guest is fed.
        await FillAsync(source, Ballast, BallastSize);
        MigrationAddress address = MigrationAddress.Unix(Path.Combine(there.Path, "m.sock"));
        await destination.ListenAsync(address);
        TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<MigrationProgress> moving = source.MigrateAsync(address, new Watcher(begun), bytesPerSecond: 20_000_000);
        await begun.Task.WaitAsync(TestVm.BootLimit);
        using PreparedKernel kernel = RecordingKernel.Build(7);
        using KernelLayout layout = KernelLayout.Link(kernel.Facts.Geometry);
        gate.Open(kernel, layout, ModuleAddresses.ByOrder, "quiet", initrd, range, words);
        Assert.False(moving.IsCompleted);
        await moving;
        await destination.WaitForArrivalAsync();

        using IGuestMemory memory = await destination.OpenMemoryAsync();
        await WaitForBootAsync(memory, 1);
        ReadOnlyMemory<byte> bytes = kernel.Bytes(new VirtualAddress(kernel.Facts.LinkBase), 0x3000).ToArray();
        Assert.True(bytes.Span.SequenceEqual(Read(memory, RecordingKernel.Base, bytes.Length)), "the kernel is not there");
        Assert.True(content.AsSpan().SequenceEqual(Read(memory, range.Start.Value, content.Length)), "the initrd is not there");
        Assert.True("quiet\0"u8.SequenceEqual(Read(memory, GateProtocol.CommandLine, 6)), "the command line is not there");

        await ResetAsync(destination);
        using VmGate again = await destination.WaitForGateAsync(TestVm.BootLimit);
        Assert.Equal(words.MemoryMap, again.ReadWords().MemoryMap);
    }

    // inc dword [Boots], in 32-bit code.
    private static byte[] CountBoot() => [0xff, 0x05, .. BitConverter.GetBytes((uint)RecordingKernel.Boots)];

    private static MachineDefinition Settings(string machine) => TestVm.Settings(QemuMachine.Parse(machine)) with { Kernel = null, HasGate = true };

    private static void Open(VmGate gate, FirmwareWords words, uint mark)
    {
        using PreparedKernel kernel = RecordingKernel.Build(mark);
        using KernelLayout layout = KernelLayout.Link(kernel.Facts.Geometry);
        gate.Open(kernel, layout, ModuleAddresses.ByOrder, "quiet", null, null, words);
    }

    // The host writes it before anything is moved.
    private static async Task FillAsync(IVirtualMachine vm, ulong address, int size)
    {
        using QemuMemory found = await QemuMemory.OpenAsync(TestVm.MonitorOf(vm), vm.ProcessId);
        using var ram = new QemuRamAccess(ProcessMemory.Open(vm.ProcessId), found.Runs);
        byte[] bytes = new byte[size];
        new Random(2).NextBytes(bytes);
        ram.Write(new PhysicalAddress(address), bytes);
    }

    private static async Task ResetAsync(IVirtualMachine vm)
    {
        await TestVm.MonitorOf(vm).ExecuteAsync("system_reset");
        await vm.WaitForResetAsync().WaitAsync(TestVm.BootLimit);
    }

    private static void CheckMap(FirmwareWords words, MachineDefinition settings)
    {
        IReadOnlyList<PhysicalRange> expected = settings.Machine.PlaceMemory(settings.Memory, 0).Ranges;
        PhysicalRange[] ram = [.. words.ToMemoryMap(null).Ram.Where(range => range.Start.Value >= ByteSize.MiB)];
        Assert.Equal(expected.Count, ram.Length);
        Assert.Equal(ByteSize.MiB, ram[0].Start.Value);
        Assert.InRange(ram[0].End.Value, expected[0].End.Value - ByteSize.MiB, expected[0].End.Value);
        Assert.Equal(expected.Skip(1), ram.Skip(1));
    }

    private static async Task WaitForBootAsync(IGuestMemory memory, uint boot)
    {
        for (long start = Environment.TickCount64; Word(memory, RecordingKernel.Boots) != boot; await Task.Delay(10))
        {
            Assert.True(Environment.TickCount64 - start < TestVm.BootLimit.TotalMilliseconds, $"no kernel runs: the mailbox holds {Convert.ToHexString(Read(memory, GateProtocol.Mailbox, 0x28))}");
        }
    }

    private static uint Word(IGuestMemory memory, ulong address) => BinaryPrimitives.ReadUInt32LittleEndian(Read(memory, address, 4));

    private static byte[] Read(IGuestMemory memory, ulong address, int length)
    {
        byte[] bytes = new byte[length];
        memory.Read(new PhysicalAddress(address), bytes);
        return bytes;
    }

    private static async Task<string> LocalApicAsync(IVirtualMachine vm)
    {
        // Not the timer's own time, which goes on.
        string text = await TestVm.MonitorOf(vm).HumanAsync("info lapic");
        return CurrentCount().Replace(text, "");
    }

    private static long CpuTicks(int process)
    {
        string stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/stat"));
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
    }

    private sealed class Watcher(TaskCompletionSource begun) : IProgress<MigrationProgress>
    {
        public void Report(MigrationProgress value)
        {
            if (value.Status == "active" && value.Transferred > 8 << 20)
            {
                begun.TrySetResult();
            }
        }
    }

    [GeneratedRegex("current_count *= *[0-9]+")]
    private static partial Regex CurrentCount();
}
