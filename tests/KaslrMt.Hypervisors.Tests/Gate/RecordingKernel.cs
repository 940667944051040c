using Iced.Intel;
using KaslrMt.Kernels;
using static Iced.Intel.AssemblerRegisters;

namespace KaslrMt.Hypervisors.Tests.Gate;

/// <summary>The smallest kernel that the gate enters: it writes down what it was entered with, and halts.</summary>
internal static class RecordingKernel
{
    /// <summary>Where it is linked, and loaded by the link layout.</summary>
    internal const ulong Base = 0x1000000;

    /// <summary>Where it writes.</summary>
    internal const ulong Record = 0x3000000;

    /// <summary>Where it counts the boots that this memory has seen.</summary>
    internal const ulong Boots = Record + 0x60;

    private const int Entry = 0x40;

    // In the same page, and not where it begins: what the processor knows of the page from an earlier boot must be forgotten as a whole.
    private const int Body = 0x800;
    private const int Size = 0x3000;

    /// <summary>Assembles it.</summary>
    /// <param name="mark">What it writes to <see cref="Record"/>.</param>
    internal static PreparedKernel Build(uint mark)
    {
        byte[] bytes = new byte[Size];
        Place(bytes, Entry, code => code.jmp(Base + Body));
        Place(bytes, Body, code => Write(code, mark));
        KernelFacts facts = SmallKernel.Facts with { Entry = Base + Entry, Segments = [new(Base, Size, 2 * Size)], ImageSize = 0x200000 };
        return SmallKernel.Of(facts, bytes);
    }

    private static void Write(Assembler code, uint mark)
    {
        Label halt = code.CreateLabel();
        code.mov(rbx, Record);
        code.mov(__qword_ptr[rbx + 0x08], rsi);
        code.mov(__qword_ptr[rbx + 0x10], rsp);
        code.pushfq();
        code.pop(__qword_ptr[rbx + 0x18]);
        code.mov(rax, cr0);
        code.mov(__qword_ptr[rbx + 0x20], rax);
        code.mov(rax, cr3);
        code.mov(__qword_ptr[rbx + 0x28], rax);
        code.mov(rax, cr4);
        code.mov(__qword_ptr[rbx + 0x30], rax);
        code.mov(ecx, 0xc0000080);
        code.rdmsr();
        code.mov(__dword_ptr[rbx + 0x38], eax);
        int at = 0x40;
        foreach (AssemblerRegisterSegment segment in (AssemblerRegisterSegment[])[cs, ds, es, ss, fs, gs])
        {
            code.mov(__word_ptr[rbx + at], segment);
            at += sizeof(ushort);
        }

        code.mov(__dword_ptr[rbx], mark);
        code.inc(__dword_ptr[rbx + 0x60]);
        code.Label(ref halt);
        code.cli();
        code.hlt();
        code.jmp(halt);
    }

    private static void Place(byte[] bytes, int offset, Action<Assembler> write)
    {
        Assembler code = new(64);
        write(code);
        using MemoryStream stream = new();
        code.Assemble(new StreamCodeWriter(stream), Base + (ulong)offset);
        stream.ToArray().CopyTo(bytes, offset);
    }
}
