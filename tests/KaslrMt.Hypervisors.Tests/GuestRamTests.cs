using KaslrMt.Guests;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>The memory map we compute is the one QEMU makes: asked of a real QEMU, and seen by a real guest.</summary>
public sealed class GuestRamTests : IDisposable
{
    private static readonly string[] Sizes = ["128M", "512M", "2G", "2815M", "2816M", "3G", "3583M", "3584M", "4G", "6G", "16G"];

    private readonly HostFolder _scratch = new();

    public static TheoryData<string> Machines() => [.. QemuMachine.All.Select(machine => machine.Argument)];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Machines))]
    public async Task Ram_lies_where_QEMU_puts_it(string machine)
    {
        foreach (string text in Sizes)
        {
            Assert.True(ByteSize.TryParse(text, out ByteSize size));
            using VmFolder folder = _scratch.Runtime.Claim("map");
            MachineDefinition settings = TestVm.Settings(QemuMachine.Parse(machine), HaltingKernel.Write(_scratch.At("halt.elf")));
            await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings with { Memory = size, StartPaused = true }, folder);
            using IGuestMemory memory = await vm.OpenMemoryAsync();

            // Below 1 MiB QEMU maps firmware over RAM, piece by piece; from there on the two must agree to the byte.
            GuestRam expected = GuestRam.Of(QemuMachine.Parse(machine), size, 0);
            Assert.Equal(expected.Ranges.Select(AboveLegacy), memory.Ranges.Where(range => range.End.Value > ByteSize.MiB).Select(AboveLegacy));
            Assert.Equal(size.Bytes, (ulong)expected.Ranges.Sum(range => (decimal)range.Length));
        }
    }

    [Theory]
    [InlineData("pc", 128)]
    [InlineData("pc", 4096)]
    [InlineData("q35", 128)]
    [InlineData("q35", 4096)]
    [InlineData("microvm", 128)]
    [InlineData("microvm", 4096)]
    [InlineData("microvm,acpi=off", 512)]
    public async Task Before_the_kernel_runs_nothing_outside_the_reserved_ranges_was_touched(string machine, int mebibytes)
    {
        byte[] initrd = new byte[3_000_001];
        initrd.AsSpan().Fill(0xaa);
        File.WriteAllBytes(_scratch.At("initrd"), initrd);
        MachineDefinition settings = TestVm.Settings(QemuMachine.Parse(machine), HaltingKernel.Write(_scratch.At("halt.elf"))) with
        {
            Memory = new ByteSize((ulong)mebibytes * ByteSize.MiB),
            Initrd = _scratch.At("initrd"),
            UserArguments = UserArguments.Parse(machine.StartsWith("microvm", StringComparison.Ordinal)
                ? ["-device", "virtio-net-device"]
                : ["-device", "virtio-net-pci", "-device", "qemu-xhci", "-device", "usb-kbd", "-vga", "std", "-device", "virtio-scsi-pci"]),
        };
        GuestRam ram = settings.Machine.PlaceMemory(settings.Memory, (ulong)initrd.Length);
        using VmFolder folder = _scratch.Runtime.Claim("firmware");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
        await ReachKernelAsync(vm);

        using IGuestMemory memory = await vm.OpenMemoryAsync();
        byte[] found = new byte[initrd.Length];
        memory.Read(ram.Initrd!.Value.Start, found);
        Assert.True(found.AsSpan().SequenceEqual(initrd), $"the initrd is not at {ram.Initrd}");

        byte[] page = new byte[4096];
        List<PhysicalAddress> touched = [];
        foreach (PhysicalRange range in ResidentCandidates(ram))
        {
            for (PhysicalAddress at = range.Start; at < range.End; at += 4096)
            {
                memory.Read(at, page);
                PhysicalRange here = new(at, 4096);
                if (page.AsSpan().ContainsAnyExcept((byte)0) && at.Value != HaltingKernel.Base
                    && !ram.Reserved.Any(entry => entry.Range.Overlaps(here)))
                {
                    touched.Add(at);
                }
            }
        }

        Assert.Empty(touched);
    }

    [Theory]
    [InlineData("pc", "3584M")]
    [InlineData("q35", "2816M")]
    [InlineData("microvm", "4G")]
    public async Task A_guest_sees_the_same_ram_and_finds_tables_only_where_reserved(string machine, string text)
    {
        Assert.True(ByteSize.TryParse(text, out ByteSize size));
        GuestRam ram = GuestRam.Of(QemuMachine.Parse(machine), size, 0);
        List<PhysicalRange> usable = await BootAndReadE820Async(QemuMachine.Parse(machine), size);

        foreach (PhysicalRange range in usable)
        {
            Assert.Contains(ram.Ranges, candidate => candidate.Contains(range.Start, range.Length));
        }

        // Whatever RAM the guest may not use must be reserved by us too.
        foreach (PhysicalRange range in ram.Ranges.Select(AboveLegacy))
        {
            PhysicalAddress at = range.Start;
            foreach (PhysicalRange next in usable.Where(range.Overlaps).Append(new PhysicalRange(range.End, 0)))
            {
                Assert.True(next.Start <= at || ram.Reserved.Any(entry => entry.Range.Contains(at, next.Start - at)), $"{at} to {next.Start}");
                at = next.End;
            }
        }
    }

    [Fact]
    public void Sizes_that_no_vm_can_have_are_refused()
    {
        foreach (ByteSize size in new[] { new ByteSize(ByteSize.MiB), new ByteSize(ByteSize.TiB), new ByteSize((512 * ByteSize.MiB) + 4096) })
        {
            Assert.Equal(HypervisorErrors.MemorySize, Assert.Throws<KaslrMtException>(() => GuestRam.Of(QemuMachine.Pc, size, 0)).Code);
        }

        foreach (ulong initrd in new[] { 128 * ByteSize.MiB, 120 * ByteSize.MiB, ulong.MaxValue })
        {
            Assert.Equal(
                HypervisorErrors.InitrdTooLarge,
                Assert.Throws<KaslrMtException>(() => GuestRam.Of(QemuMachine.Q35, new ByteSize(128 * ByteSize.MiB), initrd)).Code);
        }
    }

    private static PhysicalRange AboveLegacy(PhysicalRange range) =>
        PhysicalRange.Between(Math.Max(range.Start.Value, ByteSize.MiB), range.End.Value);

    // All of low RAM's ends and the ends of high RAM: reading 4 GiB page by page would take longer than it is worth.
    private static IEnumerable<PhysicalRange> ResidentCandidates(GuestRam ram)
    {
        const ulong Edge = 64 * ByteSize.MiB;
        foreach (PhysicalRange range in ram.Ranges.Select(AboveLegacy))
        {
            if (range.Length <= 2 * Edge)
            {
                yield return range;
            }
            else
            {
                yield return range with { Length = Edge };
                yield return new PhysicalRange(range.End - Edge, Edge);
            }
        }
    }

    private static async Task ReachKernelAsync(IVirtualMachine vm)
    {
        for (int i = 0; i < 400; i++)
        {
            string registers = await TestVm.MonitorOf(vm).HumanAsync("info registers");
            if (registers.Contains("EIP=01000", StringComparison.Ordinal) && registers.Contains("HLT=1", StringComparison.Ordinal))
            {
                return;
            }

            await Task.Delay(25);
        }

        Assert.Fail("the guest never reached its kernel");
    }

    private async Task<List<PhysicalRange>> BootAndReadE820Async(QemuMachine machine, ByteSize size)
    {
        string log = _scratch.At("serial");
        using VmFolder folder = _scratch.Runtime.Claim("e820");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(
            TestVm.Settings(machine) with { Memory = size, CommandLine = "earlyprintk=ttyS0 nokaslr", Console = SerialConsole.ToFile(log) }, folder);
        await TestVm.EventuallyAsync(() => File.Exists(log) && File.ReadAllText(log).Contains("NX (Execute", StringComparison.Ordinal), "an e820 map");
        return [.. File.ReadLines(log)
            .Where(line => line.Contains("BIOS-e820: [mem 0x", StringComparison.Ordinal) && line.TrimEnd().EndsWith("usable", StringComparison.Ordinal))
            .Select(line => line[(line.IndexOf("0x", StringComparison.Ordinal) + 2)..])
            .Select(line => PhysicalRange.Between(Convert.ToUInt64(line[..16], 16), Convert.ToUInt64(line[19..35], 16) + 1))];
    }
}
