using System.Buffers.Binary;
using System.Text;
using KaslrMt.Guests;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors.Tests.Gate;

/// <summary>The host's side of the gate: when a guest waits, and what is in its memory before it is told to go on.</summary>
public sealed class VmGateTests : IDisposable
{
    private const ulong Go = WaitingGuest.Mailbox + 0x0c;
    private const ulong Entry = WaitingGuest.Mailbox + 0x18;
    private const ulong ZeroPage = 0x185000;
    private const ulong CommandLine = 0x186000;
    private const ulong Ranges = 0x187000;
    private const ulong PageTables = 0x188000;
    private const ulong LowestKernel = 16 << 20;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void A_guest_waits_that_says_so_at_this_programs_gate()
    {
        using var gate = new VmGate(WaitingGuest.Create());
        Assert.True(gate.IsWaiting);
    }

    [Theory]
    [InlineData(0x181000)] // the magic
    [InlineData(0x181007)] // the version
    [InlineData(0x181008)] // the state
    [InlineData(0x180000)] // the code's first byte
    [InlineData(0x180fff)] // and its last
    public void A_guest_does_not_wait_where_one_byte_is_another(ulong address)
    {
        FakeRam ram = WaitingGuest.Create();
        ram.Bytes(address, 1)[0] ^= 1;
        using var gate = new VmGate(ram);
        Assert.False(gate.IsWaiting);
    }

    [Fact]
    public void A_guest_waits_until_the_go_word_is_its_session_and_none_has_session_0()
    {
        FakeRam ram = WaitingGuest.Create();
        using var gate = new VmGate(ram);
        ram.Put(Go, WaitingGuest.Bytes(WaitingGuest.Session ^ 2));
        Assert.True(gate.IsWaiting);
        Assert.Equal(WaitingGuest.Session, gate.ReadWords().Session);
        ram.Put(Go, WaitingGuest.Bytes(WaitingGuest.Session));
        Assert.False(gate.IsWaiting);
        Assert.Equal(HypervisorErrors.GateWords, Assert.Throws<KaslrMtException>(gate.ReadWords).Code);
        ram.Put(WaitingGuest.Mailbox + 0x20, WaitingGuest.Bytes(0));
        Assert.False(gate.IsWaiting);
    }

    [Fact]
    public void A_kernel_for_a_guest_that_was_reset_meanwhile_is_not_entered()
    {
        FakeRam ram = WaitingGuest.Create();
        using var gate = new VmGate(ram);
        FirmwareWords words = gate.ReadWords();
        ram.Put(WaitingGuest.Mailbox + 0x20, WaitingGuest.Bytes(WaitingGuest.Session + 2));
        using PreparedKernel kernel = Small();
        using KernelLayout layout = Plan(kernel.Facts, ram);
        gate.Open(kernel, layout, ModuleAddresses.ByOrder, "quiet", null, null, words);
        Assert.True(gate.IsWaiting);
        Open(ram);
        Assert.False(gate.IsWaiting);
    }

    [Fact]
    public void A_guest_does_not_wait_where_there_is_no_memory()
    {
        using var none = new VmGate(new FakeRam(PhysicalRange.Between(0, 0x180000)));
        Assert.False(none.IsWaiting);

        // The code is there, the mailbox is not.
        using var half = new VmGate(new FakeRam(PhysicalRange.Between(0x180000, 0x181000)));
        Assert.False(half.IsWaiting);
    }

    [Fact]
    public async Task Who_waits_for_a_guest_in_vain_is_told_after_the_time_given()
    {
        using var gate = new VmGate(WaitingGuest.Ram());
        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(() => gate.WaitAsync(TimeSpan.FromMilliseconds(20), CancellationToken.None));
        Assert.Equal(HypervisorErrors.GateSilent, error.Code);
        using CancellationTokenSource limit = new(20);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gate.WaitAsync(Timeout.InfiniteTimeSpan, limit.Token));
    }

    [Fact]
    public void The_go_word_comes_last_and_the_entry_before_it()
    {
        FakeRam ram = WaitingGuest.Create();
        Open(ram, initrd: Initrd(10_000));
        Assert.Equal(new PhysicalRange(new PhysicalAddress(Go), 4), ram.Writes[^1]);
        Assert.Equal(new PhysicalRange(new PhysicalAddress(Entry), 8), ram.Writes[^2]);
        Assert.Equal(WaitingGuest.Bytes(WaitingGuest.Session), ram.Bytes(Go, 4));
        Assert.Single(ram.Writes, write => write.Overlaps(new PhysicalRange(new PhysicalAddress(Go), 4)));
        using var gate = new VmGate(ram);
        Assert.False(gate.IsWaiting);
    }

    [Fact]
    public void Whichever_write_fails_the_guest_still_waits()
    {
        using SafeFileHandle initrd = Initrd(10_000);
        int allowed = 0;
        while (true)
        {
            FakeRam ram = WaitingGuest.Create();
            ram.Allowed = allowed;
            try
            {
                Open(ram, initrd);
                break;
            }
            catch (KaslrMtException error) when (error.Code == GuestErrors.GuestGone)
            {
                using var gate = new VmGate(ram);
                Assert.True(gate.IsWaiting);
                allowed++;
            }
        }

        Assert.InRange(allowed, 8, 100);
    }

    [Fact]
    public void The_kernel_is_told_its_command_line_its_initrd_and_what_firmware_said()
    {
        FakeRam ram = WaitingGuest.Create("virtio_mmio.device=512@0xfeb02e00:23 ", rsdp: 0xf5a20);
        byte[] content = new byte[10_000];
        new Random(1).NextBytes(content);
        (_, PhysicalRange? range) = Open(ram, Initrd(content), commandLine: "console=ttyS0 -- sh");

        Span<byte> page = ram.Bytes(ZeroPage, 4096);
        Assert.Equal(CommandLine, BinaryPrimitives.ReadUInt32LittleEndian(page[0x228..]));
        Assert.Equal("virtio_mmio.device=512@0xfeb02e00:23 console=ttyS0 -- sh\0", Encoding.ASCII.GetString(ram.Bytes(CommandLine, 57)));
        Assert.Equal(range!.Value.Start.Value, BinaryPrimitives.ReadUInt32LittleEndian(page[0x218..]));
        Assert.Equal(10_000u, BinaryPrimitives.ReadUInt32LittleEndian(page[0x21c..]));
        Assert.Equal(content, ram.Bytes(range.Value.Start.Value, content.Length));
        Assert.Equal(0xf5a20UL, BinaryPrimitives.ReadUInt64LittleEndian(page[0x70..]));
        Assert.Equal(3, page[0x211] & 3); // LOADED_HIGH, KASLR_FLAG
        Assert.Equal(WaitingGuest.Map.Length, page[0x1e8]);
        for (int i = 0; i < WaitingGuest.Map.Length; i++)
        {
            Span<byte> entry = page.Slice(0x2d0 + (20 * i), 20);
            Assert.Equal(
                WaitingGuest.Map[i],
                (BinaryPrimitives.ReadUInt64LittleEndian(entry), BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]), BinaryPrimitives.ReadUInt32LittleEndian(entry[16..])));
        }
    }

    [Fact]
    public void Without_an_initrd_and_words_of_firmware_the_kernel_gets_neither()
    {
        FakeRam ram = WaitingGuest.Create(rsdp: 0);
        Open(ram, commandLine: "quiet");
        Span<byte> page = ram.Bytes(ZeroPage, 4096);
        Assert.Equal(0UL, BinaryPrimitives.ReadUInt64LittleEndian(page[0x218..]));
        Assert.Equal(0UL, BinaryPrimitives.ReadUInt64LittleEndian(page[0x70..]));
        Assert.Equal("quiet\0", Encoding.ASCII.GetString(ram.Bytes(CommandLine, 6)));
    }

    [Theory]
    [InlineData(0x3000, 0x3000)]
    [InlineData(0x3000, 0x5000)]
    [InlineData(0x2fff, 0x3000)]
    [InlineData(0x2ffa, 0x3003)]
    [InlineData(0x3001, 0x4002)]
    [InlineData(0x3001, 0x3005)]
    [InlineData(0x3000, 0x3003)]
    [InlineData(0x3005, 0x3007)]
    public void Every_page_that_the_host_writes_is_in_a_range_and_the_rest_of_a_segment_is_cleared_to_the_byte(int fileSize, int memorySize)
    {
        FakeRam ram = WaitingGuest.Create();
        KernelFacts facts = SmallKernel.Facts with
        {
            Segments = [new(LowestKernel, fileSize, (ulong)memorySize), new(LowestKernel + 0x10003, 0x1804, 0x2000)],
        };
        byte[] bytes = new byte[fileSize + 0x1804];
        new Random(fileSize).NextBytes(bytes);
        using PreparedKernel kernel = SmallKernel.Of(facts, bytes);
        (LoadedAt at, PhysicalRange? initrd) = Open(ram, Initrd(10_000), kernel: kernel);

        List<(PhysicalRange Range, uint Kind)> ranges = ReadRanges(ram);
        PhysicalRange[] rewritten = [.. ranges.Where(range => range.Kind == 1).Select(range => range.Range)];
        PhysicalRange[] cleared = [.. ranges.Where(range => range.Kind == 2).Select(range => range.Range)];
        PhysicalRange[] touched = [.. ranges.Where(range => range.Kind == 3).Select(range => range.Range)];

        Assert.Equal([initrd!.Value], touched);
        List<PhysicalRange> zeros = [];
        foreach (KernelFacts.Segment segment in facts.Segments)
        {
            PhysicalAddress start = at.Of(segment.PhysicalAddress);
            Assert.Contains(new PhysicalRange(start, (ulong)segment.FileSize), rewritten);
            if (segment.MemorySize > (ulong)segment.FileSize)
            {
                zeros.Add(new PhysicalRange(start + (ulong)segment.FileSize, segment.MemorySize - (ulong)segment.FileSize));
            }
        }

        Assert.Equal(zeros, cleared);
        foreach (PhysicalRange write in ram.Writes.Where(write => write.Start.Value >= LowestKernel && write.Length > 0))
        {
            Assert.Contains(rewritten.Concat(touched), range => range.Contains(write.Start, write.Length));
        }

        // What the guest clears, it must not clear of what was written.
        Assert.DoesNotContain(cleared, range => ram.Writes.Any(range.Overlaps));
    }

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public void A_real_kernel_is_in_memory_as_it_is_in_a_boot_image(string name)
    {
        var ram = new FakeRam(PhysicalRange.Between(0, 128 << 20));
        WaitingGuest.Fill(ram, "", 0, 0, [(0, 0x9fc00, 1), (0x100000, 127 << 20, 1)]);
        using PreparedKernel kernel = PreparedKernel.Open(TestKernels.Image(name));
        using KernelLayout layout = Plan(kernel.Facts, ram);
        using var gate = new VmGate(ram);
        gate.Open(kernel, layout, ModuleAddresses.ByOrder, "quiet", null, null, gate.ReadWords());
        kernel.WriteBootImage(layout, _scratch.At("image"));

        byte[] image = File.ReadAllBytes(_scratch.At("image"));
        int headers = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(56));
        int compared = 0;
        for (int i = 0; i < headers; i++)
        {
            ReadOnlySpan<byte> header = image.AsSpan(64 + (56 * i), 56);
            int offset = (int)BinaryPrimitives.ReadUInt64LittleEndian(header[8..]), size = (int)BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]);
            if (address >= LowestKernel)
            {
                Assert.True(image.AsSpan(offset, size).SequenceEqual(ram.Bytes(address, size)), $"segment {i} differs");
                compared += size;
            }
        }

        Assert.InRange(compared, 30 << 20, 100 << 20);
        Assert.Equal(layout.KernelPhysical.Value + kernel.Facts.Entry - kernel.Facts.LinkPhysical, BinaryPrimitives.ReadUInt64LittleEndian(ram.Bytes(Entry, 8)));
    }

    [Fact]
    public void The_page_tables_map_what_lies_below_4_GiB_and_a_kernel_above_to_themselves()
    {
        FakeRam ram = WaitingGuest.Create(map: [(0x100000, 15 << 20, 1), (1UL << 32, 16 << 20, 1)]);
        (LoadedAt at, _) = Open(ram);
        Assert.InRange(at.Base.Value, 1UL << 32, ulong.MaxValue);
        foreach (ulong address in (ulong[])[0, Ranges, 0xfee00000, 0xffffffff, at.Base.Value, at.Base.Value + 0x201000])
        {
            Assert.Equal(address, Translate(ram, address));
        }

        Assert.Null(Translate(ram, 5UL << 30));
    }

    [Fact]
    public void A_command_line_that_a_kernel_would_not_take_is_refused_with_what_firmware_adds()
    {
        FakeRam ram = WaitingGuest.Create("a=b");
        Open(ram, commandLine: new string('x', 2043));
        ram = WaitingGuest.Create("a=b");
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => Open(ram, commandLine: new string('x', 2044)));
        Assert.Equal(HypervisorErrors.SettingInvalid, error.Code);
        Assert.Contains("2048 bytes", error.Message, StringComparison.Ordinal);
        Assert.Empty(ram.Writes);
    }

    [Fact]
    public void An_initrd_that_shrinks_is_refused_and_the_guest_still_waits()
    {
        FakeRam ram = WaitingGuest.Create();
        using SafeFileHandle initrd = Initrd(10_000);
        using PreparedKernel kernel = Small();
        using KernelLayout layout = Plan(kernel.Facts, ram);
        using var gate = new VmGate(ram);
        FirmwareWords words = gate.ReadWords();
        PhysicalRange range = words.PlaceInitrd(10_001);
        Assert.Equal(
            HypervisorErrors.FileUnreadable,
            Assert.Throws<KaslrMtException>(() => gate.Open(kernel, layout, ModuleAddresses.ByOrder, "", initrd, range, words)).Code);
        Assert.True(gate.IsWaiting);
    }

    [Fact]
    public void A_map_that_names_memory_which_is_none_is_refused_and_the_guest_still_waits()
    {
        FakeRam ram = WaitingGuest.Create(map: [(0x100000, 15 << 20, 1), (8UL << 32, 1 << 30, 1)]);
        Assert.Equal(GuestErrors.NotRam, Assert.Throws<KaslrMtException>(() => Open(ram)).Code);
        using var gate = new VmGate(ram);
        Assert.True(gate.IsWaiting);
    }

    [Fact]
    public void A_list_of_ranges_that_does_not_fit_is_refused_and_the_longest_has_an_end()
    {
        GateRange[] most = [.. Enumerable.Repeat(new GateRange(LowestKernel, 1, GateRangeKind.Touched), 169)];
        byte[] list = GateRange.ToBytes(most);
        Assert.InRange(list.Length, 0, 4096);
        Assert.Equal(-1, list.AsSpan(list.Length - 24).IndexOfAnyExcept((byte)0));
        Assert.Throws<ArgumentOutOfRangeException>(() => GateRange.ToBytes([.. most, most[0]]));

        // A kernel has at most 64 segments, each with bytes and what is cleared, and one initrd.
        Assert.InRange((64 * 2) + 1, 0, most.Length);
    }

    private static PreparedKernel Small()
    {
        byte[] bytes = new byte[0x4804];
        new Random(2).NextBytes(bytes);
        return SmallKernel.Of(SmallKernel.Facts, bytes);
    }

    private static KernelLayout Plan(KernelFacts facts, FakeRam ram, PhysicalRange? initrd = null)
    {
        using TenantKey key = TenantKey.Parse("a-tenant-key-of-the-tests");
        using VmSeed seed = VmSeed.FromHex(new string('5', 64));
        return LayoutPlanner.Plan(facts.Geometry, FirmwareWords.Read(ram).ToMemoryMap(initrd), Policy.Default, key, seed, AddressProducers.Default);
    }

    private static (LoadedAt At, PhysicalRange? Initrd) Open(FakeRam ram, SafeFileHandle? initrd = null, string commandLine = "quiet", PreparedKernel? kernel = null)
    {
        using PreparedKernel? own = kernel is null ? Small() : null;
        kernel ??= own!;
        using var gate = new VmGate(ram);
        FirmwareWords words = gate.ReadWords();
        PhysicalRange? range = initrd is null ? null : words.PlaceInitrd((ulong)RandomAccess.GetLength(initrd));
        using KernelLayout layout = Plan(kernel.Facts, ram, range);
        gate.Open(kernel, layout, ModuleAddresses.ByOrder, commandLine, initrd, range, words);
        return (new LoadedAt(layout.KernelPhysical, kernel.Facts.LinkPhysical), range);
    }

    private static List<(PhysicalRange Range, uint Kind)> ReadRanges(FakeRam ram)
    {
        List<(PhysicalRange, uint)> ranges = [];
        for (ulong at = Ranges; BinaryPrimitives.ReadUInt32LittleEndian(ram.Bytes(at + 16, 4)) is not 0 and uint kind; at += 24)
        {
            Span<byte> entry = ram.Bytes(at, 16);
            ranges.Add((new PhysicalRange(new PhysicalAddress(BinaryPrimitives.ReadUInt64LittleEndian(entry)), BinaryPrimitives.ReadUInt64LittleEndian(entry[8..])), kind));
        }

        return ranges;
    }

    private static ulong? Translate(FakeRam ram, ulong address)
    {
        ulong table = PageTables;
        foreach (int shift in (int[])[39, 30, 21])
        {
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(ram.Bytes(table + (8 * ((address >> shift) & 511)), 8));
            if ((entry & 1) == 0)
            {
                return null;
            }

            if (shift == 21)
            {
                Assert.Equal(0x83UL, entry & 0xfff);
                return (entry & ~0x1fffffUL) | (address & 0x1fffff);
            }

            table = entry & ~0xfffUL;
            Assert.InRange(table, PageTables, 0x192000UL - 4096);
        }

        return null;
    }

    private SafeFileHandle Initrd(int size) => Initrd(new byte[size]);

    private SafeFileHandle Initrd(byte[] content)
    {
        string path = _scratch.At($"initrd-{Guid.NewGuid():N}");
        File.WriteAllBytes(path, content);
        return File.OpenHandle(path);
    }

    private readonly record struct LoadedAt(PhysicalAddress Base, ulong LinkPhysical)
    {
        public PhysicalAddress Of(ulong linkPhysical) => Base + (linkPhysical - LinkPhysical);
    }
}
