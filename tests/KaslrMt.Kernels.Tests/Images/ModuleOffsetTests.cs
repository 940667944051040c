using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace KaslrMt.Kernels.Tests;

/// <summary>The arithmetic between a random number and the module offset: every form that compilers give it, and forms that must be refused.</summary>
public sealed class ModuleOffsetTests
{
    private const ulong Start = 0xffffffff81000000;
    private const ulong Random = 0xffffffff81100000;

    private static readonly Dictionary<string, (int Shift, Action<Assembler> Code)> Known = new()
    {
        ["(1024 * u16) >> 16, as 6.1 and 6.12 have it"] = Form(6, a =>
        {
            a.movzx(eax, ax);
            a.shl(eax, 10);
            a.shr(eax, 16);
            a.inc(eax);
            a.shl(eax, 12);
        }),
        ["u16 >> 6"] = Form(6, a =>
        {
            a.shr(ax, 6);
            a.movzx(eax, ax);
            a.add(eax, 1);
            a.shl(rax, 12);
        }),
        ["u16 >> 6 of 32 bits, kept in another register"] = Form(6, a =>
        {
            a.movzx(ebx, ax);
            a.shr(ebx, 6);
            a.lea(rbx, __[rbx + 1]);
            a.shl(rbx, 12);
            a.mov(__[rdi], rbx);
        }),
        ["multiplied"] = Form(6, a =>
        {
            a.movzx(eax, ax);
            a.imul(eax, eax, 1024);
            a.shr(eax, 16);
            a.lea(ecx, __[rax + 1]);
            a.shl(ecx, 12);
        }),
        ["masked, as 5.x"] = Form(0, a =>
        {
            a.and(eax, 0x3ff);
            a.inc(eax);
            a.shl(eax, 12);
        }),
        ["masked, the page added last"] = Form(0, a =>
        {
            a.mov(edx, eax);
            a.and(edx, 0x3ff);
            a.shl(rdx, 12);
            a.add(rdx, 0x1000);
        }),
        ["masked, one subtracted the other way round"] = Form(0, a =>
        {
            a.and(eax, 0x3ff);
            a.sub(rax, -1);
            a.shl(rax, 12);
        }),
        ["(1024 * u32) >> 32"] = Form(22, a =>
        {
            a.mov(eax, eax);
            a.shl(rax, 10);
            a.shr(rax, 32);
            a.inc(rax);
            a.shl(rax, 12);
        }),
        ["between instructions that have nothing to do with it"] = Form(0, a =>
        {
            a.mov(rdi, __[rbp + 8]);
            a.xor(ecx, ecx);
            a.and(eax, 0x3ff);
            a.nop();
            a.lea(rax, __[rax + 1]);
            a.mov(__[rsp + 8], rcx);
            a.shl(rax, 12);
        }),
    };

    private static readonly Dictionary<string, Action<Assembler>> Unknown = new()
    {
        ["512 pages only"] = a =>
        {
            a.and(eax, 0x1ff);
            a.inc(eax);
            a.shl(eax, 12);
        },
        ["from page 0"] = a =>
        {
            a.and(eax, 0x3ff);
            a.shl(eax, 12);
        },
        ["from page 2"] = a =>
        {
            a.and(eax, 0x3ff);
            a.add(eax, 2);
            a.shl(eax, 12);
        },
        ["pages of 8 KiB"] = a =>
        {
            a.and(eax, 0x3ff);
            a.inc(eax);
            a.shl(eax, 13);
        },
        ["a mask with a hole"] = a =>
        {
            a.and(eax, 0x3fb);
            a.inc(eax);
            a.shl(eax, 12);
        },
        ["wraps at the last page"] = a =>
        {
            a.inc(eax);
            a.and(eax, 0x3ff);
            a.shl(eax, 12);
        },
        ["a bit turned over"] = a =>
        {
            a.and(eax, 0x3ff);
            a.xor(eax, 1);
            a.inc(eax);
            a.shl(eax, 12);
        },
        ["mixed with what is not known"] = a =>
        {
            a.add(eax, ecx);
            a.and(eax, 0x3ff);
            a.inc(eax);
            a.shl(eax, 12);
        },
        ["behind a branch"] = a =>
        {
            a.and(eax, 0x3ff);
            a.jmp(Start);
            a.inc(eax);
            a.shl(eax, 12);
        },
        ["overwritten by a string instruction, whose operand is neither register nor number"] = a =>
        {
            a.lodsd();
            a.and(eax, 0x3ff);
            a.inc(eax);
            a.shl(eax, 12);
        },
        ["nothing"] = a => a.ret(),
    };

    public static TheoryData<string> KnownForms => [.. Known.Keys];

    public static TheoryData<string> UnknownForms => [.. Unknown.Keys];

    [Theory]
    [MemberData(nameof(KnownForms))]
    public void Each_known_form_is_understood(string form)
    {
        (int shift, Action<Assembler> code) = Known[form];
        ModuleOffsetSite site = ModuleOffsetSite.Locate(Function(a => a.call(Random), code), [new VirtualAddress(Random)]);

        Assert.Equal(new ModuleOffsetSite(0x1001, "module_alloc", shift), site);
    }

    [Theory]
    [MemberData(nameof(UnknownForms))]
    public void Each_form_that_would_give_other_pages_is_refused(string form)
    {
        KernelFunction function = Function(a => a.call(Random), Unknown[form]);

        KaslrMtException error = Assert.Throws<KaslrMtException>(() => ModuleOffsetSite.Locate(function, [new VirtualAddress(Random)]));
        Assert.Equal(KernelErrors.ModuleOffsetDraw, error.Code);
    }

    [Fact]
    public void No_call_or_two_are_refused()
    {
        Action<Assembler> masked = Known["masked, as 5.x"].Code;
        foreach (Action<Assembler> calls in (Action<Assembler>[])[a => a.nop(), a => a.call(Start), a => { a.call(Random); a.call(Random); }])
        {
            KaslrMtException error = Assert.Throws<KaslrMtException>(() => ModuleOffsetSite.Locate(Function(calls, masked), [new VirtualAddress(Random)]));
            Assert.Equal(KernelErrors.CallSite, error.Code);
        }
    }

    [Theory]
    [InlineData(0, 6, "b800000000")]
    [InlineData(1, 6, "b840000000")]
    [InlineData(1023, 6, "b8c0ff0000")]
    [InlineData(1023, 0, "b8ff030000")]
    [InlineData(1023, 22, "b80000c0ff")]
    public void The_instruction_that_takes_the_calls_place_loads_the_number(int slot, int shift, string bytes) =>
        Assert.Equal(bytes, Convert.ToHexStringLower(ModuleOffsetSite.Instruction(slot, shift)));

    [Theory]
    [InlineData(-1)]
    [InlineData(1024)]
    public void A_slot_that_does_not_exist_is_refused(int slot) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => ModuleOffsetSite.Instruction(slot, 6));

    private static (int Shift, Action<Assembler> Code) Form(int shift, Action<Assembler> code) => (shift, code);

    private static KernelFunction Function(params Action<Assembler>[] parts)
    {
        var assembler = new Assembler(64);
        assembler.push(rbx);
        foreach (Action<Assembler> part in parts)
        {
            part(assembler);
        }

        assembler.ret();
        using MemoryStream code = new();
        assembler.Assemble(new StreamCodeWriter(code), Start);
        var decoder = Decoder.Create(64, code.ToArray(), Start);
        return new KernelFunction("module_alloc", new VirtualAddress(Start), 0x1000, [.. decoder]);
    }
}
