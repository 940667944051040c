using System.Buffers.Binary;
using Iced.Intel;

namespace KaslrMt.Kernels.Tests;

/// <summary>The entry stub's bytes are the instructions they are said to be. That they boot is for the boot tests.</summary>
public sealed class EntryStubTests
{
    private const int LongModeStart = 0xbf;

    private static readonly string[] Listing32 =
    [
        "cli", "cld", "cmp dword [ebx],336EC578h", "jne HALT",
        "mov edi,101000h",
        "mov eax,[ebx+18h]", "mov [edi+228h],eax", "mov eax,[ebx+1Ch]", "mov [edi+0C8h],eax",
        "mov eax,[ebx+20h]", "mov [edi+70h],eax", "mov eax,[ebx+24h]", "mov [edi+74h],eax",
        "cmp dword [ebx+0Ch],0", "je MAP",
        "mov esi,[ebx+10h]",
        "mov eax,[esi]", "mov [edi+218h],eax", "mov eax,[esi+4]", "mov [edi+0C0h],eax",
        "mov eax,[esi+8]", "mov [edi+21Ch],eax", "mov eax,[esi+0Ch]", "mov [edi+0C4h],eax",
        "MAP: mov ecx,[ebx+30h]", "cmp ecx,80h", "jbe COUNT", "mov ecx,80h",
        "COUNT: mov [edi+1E8h],cl", "mov esi,[ebx+28h]", "add edi,2D0h",
        "NEXT: jecxz LONG", "movsd", "movsd", "movsd", "movsd", "movsd", "add esi,4", "dec ecx", "jmp NEXT",
        "LONG: lgdt [100F00h]",
        "mov eax,20h", "mov cr4,eax", "mov eax,102000h", "mov cr3,eax",
        "mov ecx,0C0000080h", "rdmsr", "bts eax,8", "wrmsr",
        "mov eax,cr0", "or eax,80000001h", "mov cr0,eax", "jmp 0010h:001000BFh",
    ];

    private static readonly string[] Listing64 =
    [
        "mov eax,18h", "mov ds,eax", "mov es,eax", "mov ss,eax", "xor eax,eax", "mov fs,eax", "mov gs,eax",
        "mov esi,[100F48h]", "mov edi,[100F4Ch]", "mov ecx,[100F50h]", "rep movsq",
        "mov esp,100F00h", "mov esi,101000h", "mov rax,[100F40h]", "jmp rax",
        "HALT: hlt", "jmp HALT",
    ];

    [Fact]
    public void The_code_is_the_listing_and_every_jump_lands_where_it_says()
    {
        byte[] code = EntryStub.Code.ToArray();
        List<Instruction> instructions = [.. Decode(32, code[..LongModeStart], 0), .. Decode(64, code[LongModeStart..], LongModeStart)];
        string[] listing = [.. Listing32, .. Listing64];
        Assert.Equal(listing.Length, instructions.Count);
        Assert.Equal(code.Length, instructions.Sum(instruction => instruction.Length));

        Dictionary<ulong, string> labels = [];
        for (int i = 0; i < listing.Length; i++)
        {
            if (listing[i].Split(": ") is [string label, string rest])
            {
                labels[instructions[i].IP] = label;
                listing[i] = rest;
            }
        }

        for (int i = 0; i < listing.Length; i++)
        {
            Assert.Equal(listing[i], Text(instructions[i], labels));
        }

        Assert.Equal(5, labels.Count);
        Assert.Equal(EntryStub.LoadAddress + (ulong)LongModeStart, instructions[Listing32.Length].IP);
    }

    [Fact]
    public void Code_stack_and_tables_lie_apart_in_one_page()
    {
        Assert.InRange(EntryStub.Code.Length, 1, EntryStub.GdtPointerOffset - 64);
        Assert.InRange(EntryStub.GdtPointerOffset + 6, 0, EntryStub.GdtOffset);
        Assert.InRange(EntryStub.GdtOffset + (8 * EntryStub.Gdt.Length), 0, EntryStub.KernelEntryOffset);
        Assert.InRange(EntryStub.KernelEntryOffset + 8, 0, EntryStub.RestoreOffset);
        Assert.InRange(EntryStub.RestoreOffset + 12, 0, 4096);
    }

    [Fact]
    public void The_boot_GDT_has_flat_64_bit_code_at_0x10_and_flat_data_at_0x18()
    {
        foreach ((int selector, byte access, int flags) in new[] { (0x10, (byte)0x9b, 0xa), (0x18, (byte)0x93, 0xc) })
        {
            byte[] descriptor = new byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor, EntryStub.Gdt[selector / 8]);
            Assert.Equal((0xff, 0xff, 0, 0, 0, 0), (descriptor[0], descriptor[1], descriptor[2], descriptor[3], descriptor[4], descriptor[7]));
            Assert.Equal((access, (flags << 4) | 0xf), (descriptor[5], (int)descriptor[6]));
        }
    }

    private static Decoder Decode(int bits, byte[] code, int offset) =>
        Decoder.Create(bits, code, EntryStub.LoadAddress + (ulong)offset);

    private static string Text(in Instruction instruction, Dictionary<ulong, string> labels)
    {
        Assert.False(instruction.IsInvalid);
        var output = new StringOutput();
        new NasmFormatter().Format(instruction, output);
        string text = output.ToStringAndReset();
        if (instruction.Op0Kind is OpKind.NearBranch32 or OpKind.NearBranch64)
        {
            Assert.True(labels.TryGetValue(instruction.NearBranchTarget, out string? label), text);
            text = $"{text.Split(' ')[0]} {label}";
        }

        return text.Replace("short ", "", StringComparison.Ordinal);
    }
}
