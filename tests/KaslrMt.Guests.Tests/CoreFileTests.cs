using System.Buffers.Binary;
using System.Text;

namespace KaslrMt.Guests.Tests;

/// <summary>Files of guests' memory: whole, cut short, of the wrong kind, hostile.</summary>
public sealed class CoreFileTests : IDisposable
{
    private const int Page = 4096;

    private readonly string _folder = Directory.CreateTempSubdirectory("kaslrmt-core-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Ram_is_read_from_the_segments_by_physical_address()
    {
        using MemoryFile memory = CoreFile.Open(Write(Core([(0, Filled(2 * Page, 1)), (0x100000000, Filled(Page, 2))])));
        Assert.Equal([PhysicalRange.Between(0, 2 * Page), new PhysicalRange(new(0x100000000), Page)], memory.Ranges);
        Assert.Equal(0UL, memory.Missing);
        var bytes = new byte[16];
        memory.Read(new(Page - 8), bytes);
        Assert.All(bytes, value => Assert.Equal(1, value));
        Assert.True(memory.TryRead(new(0x100000000 + Page - 16), bytes));
        Assert.All(bytes, value => Assert.Equal(2, value));
        Assert.False(memory.TryRead(new(0x100000000 + Page - 15), bytes));
        Assert.Equal(GuestErrors.NotRam, Assert.Throws<KaslrMtException>(() => memory.Read(new(0x80000000), new byte[1])).Code);
    }

    [Fact]
    public void Video_memory_and_firmware_below_4_GiB_are_not_ram_and_the_same_ram_counts_once()
    {
        using MemoryFile memory = CoreFile.Open(Write(Core(
            [(0, Filled(2 * Page, 1)), (Page, Filled(2 * Page, 1)), (0xfd000000, Filled(Page, 3)), (0xfffff000, Filled(Page, 4)), (0x100000000, Filled(Page, 5))])));
        Assert.Equal([PhysicalRange.Between(0, 3 * Page), new PhysicalRange(new(0x100000000), Page)], memory.Ranges);
    }

    [Fact]
    public void More_segments_than_the_header_can_count_are_counted_in_section_0()
    {
        byte[] core = Core([(0, Filled(Page, 7))]);
        byte[] section = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(section.AsSpan(44), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(core.AsSpan(40), (ulong)core.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(core.AsSpan(56), 0xffff);
        using MemoryFile memory = CoreFile.Open(Write([.. core, .. section]));
        Assert.Equal([PhysicalRange.Between(0, Page)], memory.Ranges);
    }

    [Fact]
    public void A_core_that_is_cut_short_gives_what_it_holds_and_says_how_much_is_missing()
    {
        byte[] core = Core([(0, Filled(4 * Page, 1)), (0x100000000, Filled(2 * Page, 2))]);
        using MemoryFile memory = CoreFile.Open(Write(core[..^(4 * Page + 100)]));
        Assert.Equal([PhysicalRange.Between(0, Page)], memory.Ranges);
        Assert.Equal(5UL * Page, memory.Missing);
        Assert.Equal(GuestErrors.DumpInvalid, Refused(core[..200]));
    }

    [Theory]
    [InlineData("KDUMP   and more")]
    [InlineData("makedumpfile\0\0\0\0")]
    public void Compressed_dumps_are_named_as_such(string start)
    {
        byte[] file = [.. Encoding.ASCII.GetBytes(start), .. new byte[Page]];
        Assert.Equal(GuestErrors.DumpUnsupported, Refused(file));
        Assert.Equal(GuestErrors.DumpUnsupported, Assert.Throws<KaslrMtException>(() => Raw(Write(file))).Code);
    }

    [Fact]
    public void What_is_no_core_is_refused_with_a_number()
    {
        Assert.Equal(GuestErrors.DumpInvalid, Refused([]));
        Assert.Equal(GuestErrors.DumpInvalid, Refused(Filled(Page, 9)));
        byte[] program = Core([(0, Filled(Page, 1))]);
        program[16] = 2;
        Assert.Equal(GuestErrors.DumpUnsupported, Refused(program));
        Assert.Equal(GuestErrors.DumpInvalid, Refused(Core([])));
        Assert.Equal(GuestErrors.DumpUnreadable, Assert.Throws<KaslrMtException>(() => CoreFile.Open(Path.Combine(_folder, "none"))).Code);
        Assert.Equal(GuestErrors.DumpUnreadable, Assert.Throws<KaslrMtException>(() => CoreFile.Open(_folder)).Code);
    }

    [Fact]
    public void Hostile_headers_give_an_error_or_ranges_that_can_be_read()
    {
        byte[] core = Core([(0, Filled(4 * Page, 1)), (0x100000000, Filled(2 * Page, 2))]);
        for (int seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            byte[] changed = [.. core];
            for (int change = 0; change < 4; change++)
            {
                int at = random.Next(4, 64 + (3 * 56));
                changed[at] = random.Next(3) switch { 0 => 0xff, 1 => 0, _ => (byte)random.Next(256) };
            }

            try
            {
                using MemoryFile memory = CoreFile.Open(Write(changed));
                foreach (PhysicalRange range in memory.Ranges)
                {
                    memory.Read(range.End - Page, new byte[Page]);
                }
            }
            catch (KaslrMtException error)
            {
                Assert.InRange(error.Code.Number, 5051, 5053);
            }
        }
    }

    [Fact]
    public void Raw_ram_lies_where_the_machine_says()
    {
        using MemoryFile memory = RawMemoryFile.Open(Write([.. Filled(Page, 1), .. Filled(Page, 2), .. Filled(100, 3)]), size =>
        {
            Assert.Equal(2UL * Page, size);
            return [PhysicalRange.Between(0, Page), new PhysicalRange(new(0x100000000), Page)];
        });
        var bytes = new byte[3];
        Assert.Equal(2, ((IGuestMemory)memory).ReadEach([new(0x100000000), new(Page), new(5)], 1, bytes));
        Assert.Equal([2, 0, 1], bytes);
    }

    [Fact]
    public void An_elf_file_and_an_empty_one_are_no_raw_ram()
    {
        Assert.Equal(GuestErrors.DumpUnsupported, Assert.Throws<KaslrMtException>(() => Raw(Write(Core([(0, Filled(Page, 1))])))).Code);
        Assert.Equal(GuestErrors.DumpInvalid, Assert.Throws<KaslrMtException>(() => Raw(Write(new byte[100]))).Code);
    }

    [Fact]
    public void A_file_that_shrinks_while_it_is_read_is_an_error()
    {
        string path = Write(Filled(4 * Page, 1));
        using MemoryFile memory = Raw(path);
        using (FileStream file = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(Page);
        }

        memory.Read(new(0), new byte[Page]);
        Assert.Equal(GuestErrors.DumpInvalid, Assert.Throws<KaslrMtException>(() => memory.Read(new(Page), new byte[Page])).Code);
    }

    [Fact]
    public void A_processor_note_and_the_kernel_s_own_tell_where_the_tables_are()
    {
        byte[] state = new byte[440];
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(392), 0x80050033);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(392 + 24), 0x1234801);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(392 + 32), 1 << 12);
        byte[] notes = Note("QEMU", state);
        using (MemoryFile memory = CoreFile.Open(Write(Core([(0, Filled(Page, 1))], notes))))
        {
            Assert.Equal(new KernelHints(new PhysicalAddress(0x1234801), true), memory.Hints);
        }

        byte[] info = Encoding.ASCII.GetBytes("OSRELEASE=6.1.0\nSYMBOL(swapper_pg_dir)=ffffffff9a810000\nNUMBER(phys_base)=-1048576\nNUMBER(pgtable_l5_enabled)=0\n");
        using (MemoryFile memory = CoreFile.Open(Write(Core([(0, Filled(Page, 1))], [.. notes, .. Note("VMCOREINFO", info)]))))
        {
            Assert.Equal(new KernelHints(new PhysicalAddress(0x1a710000), false), memory.Hints);
        }

        using (MemoryFile memory = CoreFile.Open(Write(Core([(0, Filled(Page, 1))], notes[..^8]))))
        {
            Assert.Equal(default, memory.Hints);
        }
    }

    private static MemoryFile Raw(string path) => RawMemoryFile.Open(path, size => [new PhysicalRange(new PhysicalAddress(0), size)]);

    private static byte[] Filled(int length, byte value) => [.. Enumerable.Repeat(value, length)];

    private static byte[] Note(string name, byte[] content)
    {
        byte[] padded = [.. Encoding.ASCII.GetBytes(name), .. new byte[4 - (name.Length % 4)]];
        byte[] header = new byte[12];
        BinaryPrimitives.WriteInt32LittleEndian(header, name.Length + 1);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(4), content.Length);
        return [.. header, .. padded, .. content, .. new byte[(4 - (content.Length % 4)) % 4]];
    }

    private static byte[] Core((ulong Address, byte[] Bytes)[] loads, byte[]? notes = null)
    {
        int count = loads.Length + (notes is null ? 0 : 1);
        byte[] core = new byte[64 + (56 * count)];
        "\u007fELF"u8.CopyTo(core);
        (core[4], core[5], core[6], core[16], core[18]) = (2, 1, 1, 4, 62);
        BinaryPrimitives.WriteUInt64LittleEndian(core.AsSpan(32), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(core.AsSpan(54), 56);
        BinaryPrimitives.WriteUInt16LittleEndian(core.AsSpan(56), (ushort)count);
        int at = 64;
        List<byte> body = [];
        void Add(uint type, ulong address, byte[] bytes)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(core.AsSpan(at), type);
            BinaryPrimitives.WriteUInt64LittleEndian(core.AsSpan(at + 8), (ulong)(core.Length + body.Count));
            BinaryPrimitives.WriteUInt64LittleEndian(core.AsSpan(at + 24), address);
            BinaryPrimitives.WriteUInt64LittleEndian(core.AsSpan(at + 32), (ulong)bytes.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(core.AsSpan(at + 40), (ulong)bytes.Length);
            body.AddRange(bytes);
            at += 56;
        }

        if (notes is not null)
        {
            Add(4, 0, notes);
        }

        foreach ((ulong address, byte[] bytes) in loads)
        {
            Add(1, address, bytes);
        }

        return [.. core, .. body];
    }

    private ErrorCode Refused(byte[] file) => Assert.Throws<KaslrMtException>(() => CoreFile.Open(Write(file))).Code;

    private string Write(byte[] bytes)
    {
        string path = Path.Combine(_folder, "memory");
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
