using System.Buffers.Binary;
using Iced.Intel;

namespace KaslrMt.Hypervisors.Tests.Gate;

/// <summary>The file for <c>-kernel</c>: constant, an ELF that QEMU takes for PVH and nothing else, and code that addresses what it may.</summary>
public sealed class GateFileTests : IDisposable
{
    // A gate that is released stays as it is: guests wait at it after their host's programs were replaced. Another gate is another version (docs/gate.md).
    private const string Golden = "8ca51c74e4ce16e3949d167abc25977439e7c78c357be3ae5491dd2a86449f01";

    private const uint Area = 0x180000;
    private const uint AreaEnd = Area + (18 * 4096);
    private const uint Apic = 0xfee00000;
    private const int Handler = 0x500;
    private const int DataStart = 0x520, DataEnd = 0x54e;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void The_file_is_the_one_that_this_version_stands_for()
    {
        Assert.Equal(1, GateFile.Version);
        Assert.True(GateFile.Digest == Golden, $"the gate is another: {GateFile.Digest}");
    }

    [Fact]
    public void It_is_written_whole_and_everybody_may_read_it()
    {
        GateFile.Write(_scratch.At("gate"));
        Assert.True(GateFile.Bytes.Span.SequenceEqual(File.ReadAllBytes(_scratch.At("gate"))));
        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead, File.GetUnixFileMode(_scratch.At("gate")));
    }

    [Fact]
    public void It_is_an_ELF_with_two_pages_of_memory_and_a_PVH_note()
    {
        byte[] file = GateFile.Bytes.ToArray();
        Assert.Equal(3 * 4096, file.Length);
        Assert.True(file.AsSpan().StartsWith("\u007fELF"u8));
        Assert.Equal((2, 1, 1), (file[4], file[5], file[6])); // 64 bit, little endian, version 1
        Assert.Equal((2, 62), (Word16(file, 16), Word16(file, 18))); // ET_EXEC, x86-64
        Assert.Equal(Area, Word64(file, 24));
        Assert.Equal((64, 56, 2), (Word16(file, 52), Word16(file, 54), Word16(file, 56)));
        Assert.Equal(0, Word16(file, 60)); // no section headers

        int headers = (int)Word64(file, 32);
        (uint type, ulong offset, ulong address, ulong size) load = Header(file, headers), note = Header(file, headers + 56);
        Assert.Equal((1u, 4096UL, (ulong)Area, 8192UL), load);
        Assert.Equal(Word64(file, headers + 24), load.address);
        Assert.Equal(Word64(file, headers + 40), load.size);

        // The note lies in no memory: name "Xen", type 18 (XEN_ELFNOTE_PHYS32_ENTRY), the entry.
        Assert.Equal(4u, note.type);
        Assert.InRange(note.offset + note.size, (ulong)headers + 112, load.offset);
        int at = (int)note.offset;
        Assert.Equal((4u, 8u, 18u), (Word32(file, at), Word32(file, at + 4), Word32(file, at + 8)));
        Assert.True(file.AsSpan(at + 12).StartsWith("Xen\0"u8));
        Assert.Equal(Area, Word64(file, at + 16));
    }

    [Fact]
    public void Its_mailbox_begins_with_the_version_and_nobody_waits_in_it()
    {
        ReadOnlySpan<byte> mailbox = GateFile.Bytes.Span[0x2000..];
        Assert.True(mailbox.StartsWith("KMTGATE1"u8));
        Assert.Equal(-1, mailbox[8..].IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void QEMU_does_not_take_it_for_Multiboot()
    {
        ReadOnlySpan<byte> file = GateFile.Bytes.Span;
        for (int at = 0; at + 4 <= Math.Min(file.Length, 8192); at += 4)
        {
            Assert.NotEqual(0x1badb002u, BinaryPrimitives.ReadUInt32LittleEndian(file[at..]));
        }
    }

    [Fact]
    public void Its_code_is_whole_and_reaches_nothing_but_the_area_and_the_local_APIC()
    {
        byte[] code = GateFile.Bytes[0x1000..0x2000].ToArray();
        bool[] decoded = new bool[code.Length];
        List<Instruction> instructions = [.. Walk(code, 0, 32, decoded), .. Walk(code, Handler, 32, decoded)];
        Assert.Contains(instructions, one => one.CodeSize == CodeSize.Code64);
        Assert.Contains(instructions, one => one.Mnemonic == Mnemonic.Hlt);

        // What no instruction is, is the tables or nothing.
        Assert.All(Enumerable.Range(0, code.Length), at => Assert.True(decoded[at] || code[at] == 0 || (at >= DataStart && at < DataEnd), $"0x{at:x} is neither code nor a table"));
        Assert.DoesNotContain(Enumerable.Range(DataStart, DataEnd - DataStart), at => decoded[at]);

        foreach (Instruction one in instructions)
        {
            for (int i = 0; i < one.OpCount; i++)
            {
                if (one.GetOpKind(i) == OpKind.Memory && one.MemoryBase == Register.None)
                {
                    Assert.Equal(Register.None, one.MemoryIndex);
                    Assert.True(IsOurs(one.MemoryDisplacement64), $"{one} at 0x{one.IP:x}");
                }
            }

            // Registers that address memory begin in the area, or are what firmware or the host gave.
            if (one.Mnemonic == Mnemonic.Mov && one.OpCount == 2 && one.Op0Kind == OpKind.Register && one.Op1Kind is OpKind.Immediate32 or OpKind.Immediate32to64
                && one.Op0Register is Register.EDI or Register.ESI or Register.EBX or Register.ESP)
            {
                Assert.InRange(one.Immediate32, Area, AreaEnd);
            }
        }
    }

    [Fact]
    public void Its_descriptors_are_flat_and_lie_where_it_says()
    {
        byte[] code = GateFile.Bytes[0x1000..0x2000].ToArray();
        Assert.Equal((31, Area + DataStart), (Word16(code, 0x540), Word32(code, 0x542)));
        Assert.Equal((2047, Area + 0x4000), (Word16(code, 0x548), Word32(code, 0x54a)));

        // Null, 32-bit code, 64-bit code (__BOOT_CS, 0x10), data (__BOOT_DS, 0x18): base 0, limit 4 GiB, present, ring 0.
        ulong[] table = [.. Enumerable.Range(0, 4).Select(i => Word64(code, DataStart + (8 * i)))];
        Assert.Equal([0x0UL, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff], table);
    }

    private static bool IsOurs(ulong address) => address is >= Area and < AreaEnd or >= Apic and < Apic + 0x1000;

    // Follows each way that the processor can go.
    private static List<Instruction> Walk(byte[] code, int start, int bits, bool[] decoded)
    {
        List<Instruction> found = [];
        Queue<(int At, int Bits)> open = new([(start, bits)]);
        HashSet<int> seen = [];
        while (open.TryDequeue(out (int At, int Bits) next))
        {
            for (int at = next.At; seen.Add(at);)
            {
                Decoder decoder = Decoder.Create(next.Bits, new ByteArrayCodeReader(code, at, code.Length - at), Area + (ulong)at);
                Instruction one = decoder.Decode();
                Assert.False(one.IsInvalid, $"no instruction at 0x{at:x}");
                Array.Fill(decoded, true, at, one.Length);
                found.Add(one);
                if (one.Code == Code.Jmp_ptr1632)
                {
                    open.Enqueue(((int)(one.FarBranch32 - Area), one.FarBranchSelector == 0x10 ? 64 : 32));
                }
                else if (one.FlowControl is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch)
                {
                    open.Enqueue(((int)(one.NearBranchTarget - Area), next.Bits));
                }

                if (one.FlowControl is FlowControl.UnconditionalBranch or FlowControl.IndirectBranch or FlowControl.Return)
                {
                    break;
                }

                at += one.Length;
            }
        }

        return found;
    }

    private static (uint Type, ulong Offset, ulong Address, ulong Size) Header(byte[] file, int at) =>
        (Word32(file, at), Word64(file, at + 8), Word64(file, at + 16), Word64(file, at + 32));

    private static ushort Word16(byte[] bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));

    private static uint Word32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static ulong Word64(byte[] bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
}
