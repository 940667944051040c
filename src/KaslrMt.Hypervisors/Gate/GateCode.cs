using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace KaslrMt.Hypervisors;

/// <summary>The gate's machine code, one page. <c>docs/gate.md</c> describes what it does, step by step.</summary>
/// <remarks>
/// A PVH loader enters it in 32-bit protected mode without paging, EBX pointing to <c>hvm_start_info</c> (Xen's <c>docs/misc/pvh.pandoc</c>). The gate
/// copies what firmware says, because on microvm that lies in the firmware's own memory; waits; and enters the kernel as
/// <c>Documentation/arch/x86/boot.rst</c> ("64-bit boot protocol") asks. It is the same for every guest and every boot, and holds no secret.
/// </remarks>
internal static class GateCode
{
    private const int PageSize = 4096;

    // Where in the page its parts lie.
    private const int FlatOffset = 0x20;
    private const int LongModeOffset = 0x300;
    private const int HandlerOffset = 0x500;
    private const int GdtOffset = 0x520;
    private const int GdtPointerOffset = 0x540;
    private const int IdtPointerOffset = 0x548;

    private const ushort FlatCode = 0x08;
    private const ushort LongModeCode = 0x10;
    private const int FlatData = 0x18;

    // The local APIC (Intel SDM volume 3, chapter 11). Its registers are in memory until somebody switches it to x2APIC, which firmware does not.
    private const uint Apic = 0xfee00000;
    private const uint TaskPriority = Apic + 0x80;
    private const uint EndOfInterrupt = Apic + 0xb0;
    private const uint SpuriousVector = Apic + 0xf0;
    private const uint TimerVector = Apic + 0x320;
    private const uint Pin0 = Apic + 0x350;
    private const uint Pin1 = Apic + 0x360;
    private const uint TimerCount = Apic + 0x380;
    private const uint TimerDivisor = Apic + 0x3e0;
    private const uint ApicBaseRegister = 0x1b;
    private const uint ApicEnabled = 1 << 11;
    private const uint ApicExtended = 1 << 10;
    private const uint SoftwareEnabled = 0x1ff;
    private const uint Masked = 1 << 16;
    private const uint Periodic = 1 << 17;
    private const uint DivideByOne = 0xb;
    private const uint Vector = 0x20;

    // QEMU's and KVM's local APIC timer counts at 1 GHz: a look at the mailbox every 4 ms.
    private const uint TimerPeriod = 4_000_000;

    private const int UnrolledSize = 64;

    private const uint ExtendedFeatures = 0xc0000080;
    private const int LongModeEnable = 8;
    private const uint PhysicalAddressExtension = 0x20;
    private const uint PagingAndProtection = 0x80000001;

    /// <summary>Assembles the page.</summary>
    internal static byte[] Build()
    {
        var page = new byte[PageSize];
        Place(page, 0, FlatOffset, Entry());
        Place(page, FlatOffset, LongModeOffset, Flat());
        Place(page, LongModeOffset, HandlerOffset, LongMode());
        Place(page, HandlerOffset, GdtOffset, Handler());

        // Null, flat 32-bit code, flat 64-bit code (0x10, __BOOT_CS), flat data (0x18, __BOOT_DS).
        ReadOnlySpan<ulong> descriptors = [0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff];
        for (int i = 0; i < descriptors.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(GdtOffset + (sizeof(ulong) * i)), descriptors[i]);
        }

        PlacePointer(page.AsSpan(GdtPointerOffset), GateProtocol.Code + GdtOffset, descriptors.Length * sizeof(ulong));
        PlacePointer(page.AsSpan(IdtPointerOffset), GateProtocol.InterruptTable, 256 * sizeof(ulong));
        return page;
    }

    // With descriptors of its own: a loader's need not lie in memory that stays.
    private static byte[] Entry()
    {
        Assembler code = new(32);
        code.cli();
        code.cld();
        code.lgdt(__[GateProtocol.Code + GdtPointerOffset]);
        code.mov(esp, GateProtocol.InterruptTable + PageSize);
        code.AddInstruction(Instruction.CreateBranch(Code.Jmp_ptr1632, FlatCode, GateProtocol.Code + FlatOffset));
        return Assemble(code, GateProtocol.Code);
    }

    private static byte[] Flat()
    {
        Assembler code = new(32);
        Label dead = code.CreateLabel();
        code.mov(eax, FlatData);
        code.mov(ds, eax);
        code.mov(es, eax);
        code.mov(ss, eax);
        code.cmp(__dword_ptr[ebx], GateProtocol.StartInfoMagic);
        code.jne(dead);
        CopyFirmwareWords(code);
        FindFeatures(code);
        Wait(code);
        EnterLongMode(code);

        // Not a PVH loader: there is nobody to tell.
        code.Label(ref dead);
        code.hlt();
        code.jmp(dead);
        return Assemble(code, GateProtocol.Code + FlatOffset);
    }

    private static void CopyFirmwareWords(Assembler code)
    {
        Label map = code.CreateLabel();
        Label next = code.CreateLabel();
        Label done = code.CreateLabel();
        code.mov(esi, ebx);
        code.mov(edi, GateProtocol.StartInfo);
        code.mov(ecx, GateProtocol.StartInfoSize / sizeof(uint));
        code.rep.movsd();

        // The host refuses a map of more entries: the count is left as firmware gave it.
        code.mov(ecx, __dword_ptr[GateProtocol.StartInfo + GateStartInfo.MapCount]);
        code.cmp(ecx, GateProtocol.MostMapEntries);
        code.jbe(map);
        code.mov(ecx, GateProtocol.MostMapEntries);
        code.Label(ref map);
        code.imul(ecx, ecx, GateProtocol.MapEntrySize / sizeof(uint));
        code.mov(esi, __dword_ptr[GateProtocol.StartInfo + GateStartInfo.MapAddress]);
        code.mov(edi, GateProtocol.MemoryMap);
        code.rep.movsd();

        code.mov(edi, GateProtocol.FirmwareLine);
        code.mov(ecx, GateProtocol.LongestLine - 1);
        code.mov(esi, __dword_ptr[GateProtocol.StartInfo + GateStartInfo.CommandLine]);
        code.test(esi, esi);
        code.jz(done);
        code.Label(ref next);
        code.lodsb();
        code.test(al, al);
        code.jz(done);
        code.stosb();
        code.dec(ecx);
        code.jnz(next);
        code.Label(ref done);
        code.mov(__byte_ptr[edi], 0);
    }

    private static void FindFeatures(Assembler code)
    {
        Label known = code.CreateLabel();
        code.xor(edi, edi);
        code.xor(eax, eax);
        code.cpuid();
        code.cmp(eax, 7);
        code.jb(known);
        code.mov(eax, 7);
        code.xor(ecx, ecx);
        code.cpuid();
        code.shr(ecx, 16);
        code.and(ecx, 1);
        code.mov(edi, ecx);
        code.Label(ref known);
        code.mov(__dword_ptr[GateProtocol.Mailbox + GateProtocol.Features], edi);
    }

    // The processor sleeps between two looks. What is changed of the local APIC for that is changed back, for the kernel is to find it as firmware left it.
    private static void Wait(Assembler code)
    {
        Label spin = code.CreateLabel();
        Label look = code.CreateLabel();
        Label wake = code.CreateLabel();
        Label gone = code.CreateLabel();
        Label fill = code.CreateLabel();

        // A host may still be writing for the boot before a reset: its go word is another one.
        code.rdtsc();
        code.or(eax, 1);
        code.mov(ebp, eax);
        code.mov(__dword_ptr[GateProtocol.Mailbox + GateProtocol.Session], eax);
        code.mov(__dword_ptr[GateProtocol.Mailbox + GateProtocol.Go], 0);
        code.mov(eax, 1);
        code.cpuid();
        code.bt(edx, 9);
        code.mov(__dword_ptr[GateProtocol.Mailbox + GateProtocol.State], GateProtocol.Waiting);
        code.jnc(spin);
        code.mov(ecx, ApicBaseRegister);
        code.rdmsr();
        code.and(eax, 0xfffff000 | ApicEnabled | ApicExtended);
        code.cmp(eax, Apic | ApicEnabled);
        code.jne(spin);

        const uint HandlerAddress = GateProtocol.Code + HandlerOffset;
        code.mov(edi, GateProtocol.InterruptTable);
        code.mov(ecx, 256);
        code.Label(ref fill);
        code.mov(__dword_ptr[edi], (uint)(FlatCode << 16) | (HandlerAddress & 0xffff));
        code.mov(__dword_ptr[edi + 4], (HandlerAddress & 0xffff0000) | 0x8e00);
        code.add(edi, 8);
        code.dec(ecx);
        code.jnz(fill);
        code.lidt(__[GateProtocol.Code + IdtPointerOffset]);

        // The pins bring the old interrupt controller's interrupts: none of them is wanted here.
        ReadOnlySpan<uint> kept = [SpuriousVector, Pin0, Pin1, TimerDivisor, TimerVector];
        foreach (uint register in kept)
        {
            code.push(__dword_ptr[register]);
        }

        code.or(__dword_ptr[SpuriousVector], SoftwareEnabled);
        code.mov(__dword_ptr[Pin0], Masked);
        code.mov(__dword_ptr[Pin1], Masked);

        // An interrupt of the old controller may have come before. QEMU's TCG would go on to deliver it, find none, and fault. This write makes it look again.
        code.mov(eax, __dword_ptr[TaskPriority]);
        code.mov(__dword_ptr[TaskPriority], eax);
        code.mov(__dword_ptr[TimerDivisor], DivideByOne);
        code.mov(__dword_ptr[TimerVector], Periodic | Vector);
        code.mov(__dword_ptr[TimerCount], TimerPeriod);

        code.Label(ref look);
        code.cmp(__dword_ptr[GateProtocol.Mailbox + GateProtocol.Go], ebp);
        code.je(wake);
        code.sti();
        code.hlt();
        code.cli();
        code.jmp(look);

        // A tick that came meanwhile is taken before the timer is put back.
        code.Label(ref wake);
        code.mov(__dword_ptr[TimerVector], Masked | Vector);
        code.mov(__dword_ptr[TimerCount], 0);
        code.sti();
        code.nop();
        code.nop();
        code.cli();
        for (int i = kept.Length - 1; i >= 0; i--)
        {
            code.pop(__dword_ptr[kept[i]]);
        }

        code.jmp(gone);

        code.Label(ref spin);
        code.pause();
        code.cmp(__dword_ptr[GateProtocol.Mailbox + GateProtocol.Go], ebp);
        code.jne(spin);
        code.Label(ref gone);
        code.mov(__dword_ptr[GateProtocol.Mailbox + GateProtocol.State], GateProtocol.Touching);
    }

    private static void EnterLongMode(Assembler code)
    {
        Label touch = code.CreateLabel();
        code.mov(edi, GateProtocol.Area);
        code.mov(ecx, GateProtocol.AreaPages);
        code.Label(ref touch);
        code.@lock.or(__dword_ptr[edi], 0);
        code.add(edi, PageSize);
        code.dec(ecx);
        code.jnz(touch);

        // PAE alone: with LA57 clear the kernel stays on four levels whatever the processor offers.
        code.mov(eax, PhysicalAddressExtension);
        code.mov(cr4, eax);
        code.mov(eax, GateProtocol.PageTables);
        code.mov(cr3, eax);
        code.mov(ecx, ExtendedFeatures);
        code.rdmsr();
        code.bts(eax, LongModeEnable);
        code.wrmsr();
        code.mov(eax, cr0);
        code.or(eax, PagingAndProtection);
        code.mov(cr0, eax);
        code.AddInstruction(Instruction.CreateBranch(Code.Jmp_ptr1632, LongModeCode, GateProtocol.Code + LongModeOffset));
    }

    // What the host wrote, the guest itself writes once more: dirty logging knows of each page then. Of the kernel it writes every byte, for TCG may have
    // translated code of an earlier boot there, and forgets only what a write overlaps. Pages above 4 GiB can be reached here.
    private static byte[] LongMode()
    {
        Assembler code = new(64);
        Label next = code.CreateLabel();
        Label touch = code.CreateLabel();
        Label rewrite = code.CreateLabel();
        Label rest = code.CreateLabel();
        Label clear = code.CreateLabel();
        Label enter = code.CreateLabel();
        code.mov(eax, FlatData);
        code.mov(ds, eax);
        code.mov(es, eax);
        code.mov(ss, eax);
        code.xor(eax, eax);
        code.mov(fs, eax);
        code.mov(gs, eax);
        code.mov(ebx, GateProtocol.Ranges);
        code.Label(ref next);
        code.mov(rdi, __qword_ptr[rbx]);
        code.mov(rcx, __qword_ptr[rbx + 8]);
        code.mov(eax, __dword_ptr[rbx + 16]);
        code.add(rbx, GateRange.Size);
        code.cmp(eax, (int)GateRangeKind.Rewritten);
        code.jb(enter);
        code.je(rewrite);
        code.cmp(eax, (int)GateRangeKind.Cleared);
        code.je(clear);
        code.add(rcx, rdi);
        code.and(rdi, -PageSize);
        code.Label(ref touch);
        code.@lock.or(__dword_ptr[rdi], 0);
        code.add(rdi, PageSize);
        code.cmp(rdi, rcx);
        code.jb(touch);
        code.jmp(next);

        // Unrolled: TCG takes twice as long for a string instruction.
        code.Label(ref rewrite);
        code.sub(rcx, UnrolledSize);
        code.jb(rest);
        for (int i = 0; i < UnrolledSize; i += sizeof(ulong))
        {
            code.mov(rax, __qword_ptr[rdi + i]);
            code.mov(__qword_ptr[rdi + i], rax);
        }

        code.add(rdi, UnrolledSize);
        code.jmp(rewrite);
        code.Label(ref rest);
        code.add(rcx, UnrolledSize);
        code.mov(rsi, rdi);
        code.rep.movsb();
        code.jmp(next);

        code.Label(ref clear);
        code.mov(edx, ecx);
        code.and(edx, sizeof(ulong) - 1);
        code.shr(rcx, 3);
        code.xor(eax, eax);
        code.rep.stosq();
        code.mov(ecx, edx);
        code.rep.stosb();
        code.jmp(next);

        // Nothing is left that tells where the kernel lies.
        code.Label(ref enter);
        code.mov(edi, GateProtocol.Ranges);
        code.mov(ecx, PageSize / sizeof(ulong));
        code.xor(eax, eax);
        code.rep.stosq();
        code.mov(rdx, __qword_ptr[GateProtocol.Mailbox + GateProtocol.Entry]);
        code.mov(__qword_ptr[GateProtocol.Mailbox + GateProtocol.Entry], rax);
        code.mov(__dword_ptr[GateProtocol.Mailbox + GateProtocol.Go], eax);
        code.mov(__dword_ptr[GateProtocol.Mailbox + GateProtocol.State], GateProtocol.Entering);
        code.mov(esp, GateProtocol.InterruptTable + PageSize);
        code.mov(esi, GateProtocol.ZeroPage);
        code.jmp(rdx);
        return Assemble(code, GateProtocol.Code + LongModeOffset);
    }

    private static byte[] Handler()
    {
        Assembler code = new(32);
        code.mov(__dword_ptr[EndOfInterrupt], 0);
        code.iretd();
        return Assemble(code, GateProtocol.Code + HandlerOffset);
    }

    private static byte[] Assemble(Assembler code, ulong address)
    {
        using MemoryStream bytes = new();
        code.Assemble(new StreamCodeWriter(bytes), address);
        return bytes.ToArray();
    }

    private static void Place(byte[] page, int offset, int end, byte[] code)
    {
        if (offset + code.Length > end)
        {
            throw new InvalidOperationException($"The gate's code at 0x{offset:x} has {code.Length} bytes, more than {end - offset}.");
        }

        code.CopyTo(page, offset);
    }

    private static void PlacePointer(Span<byte> pointer, uint table, int size)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(pointer, (ushort)(size - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(pointer[2..], table);
    }
}
