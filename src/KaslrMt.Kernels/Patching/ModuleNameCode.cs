using System.Buffers.Binary;
using System.Security.Cryptography;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace KaslrMt.Kernels;

/// <summary>Assembles the code of <see cref="ModuleNamePatch"/>. It refers to its surroundings by distance alone, so it moves with the kernel.</summary>
/// <remarks>
/// <para>Direct calls and jumps only, and no return of its own: what mitigations do to indirect branches and returns is not touched. A module's search
/// begins 64 MiB above the first address modules may use, plus one of 65,536 pages. Other users of the area begin at its start and are never met there.</para>
/// <para>Two processes may load one module at once: the kernel places both copies before it sees that one is too many, and then keeps the one that is
/// first in its list. So the copy that gets the name's place must be that one. A load's first allocation asks for exactly this place, which one
/// of several gets. Whoever finds it taken by an area of the same size waits until a module of that name is in the list, and is then placed
/// far behind all names' places, out of the other's way, until the kernel drops it. Loading may sleep; the wait ends after some 40 seconds.</para>
/// </remarks>
internal static class ModuleNameCode
{
    private const int PageSize = 4096;
    private const int BranchSize = 5;

    // Above the first address modules may use: where the names' places begin, and where copies go that will be dropped.
    private const int FirstPlace = 64 << 20;
    private const int CopiesPlace = 320 << 20;

    // What a load is known to be, in the third word that its caller leaves on the stack.
    private const int Placed = 1;
    private const int Copy = 2;

    // One for each wait, many for an attempt at a place: four attempts, or some 40 seconds. On a busy host the first of two loads of a large module
    // takes seconds to get into the list. The kernel itself gives a load 30 seconds to find its symbols (resolve_symbol_wait).
    private const int Rounds = 2048;
    private const int RoundsOfAttempt = 512;
    private const int MillisecondsToWait = 20;

    // include/linux/gfp_types.h: ___GFP_NOWARN, the same from 4.x on. An attempt that fails is no news.
    private const int NoWarning = 0x2000;

    // A kernel stack is 16 KiB or more, aligned.
    private const int StackMask = 0x3ff8;

    private static int Mark => BinaryPrimitives.ReadInt32LittleEndian("kmtn"u8);

    /// <summary>Assembles it.</summary>
    /// <param name="place">Where the code will lie.</param>
    /// <param name="kernel">What it refers to.</param>
    public static Assembled Assemble(VirtualAddress place, ModuleLoading kernel)
    {
        var code = new Assembler(64);
        Label salt = Placer(code, kernel);
        Label[] callers = [.. kernel.Callers.Select(back => Caller(code, kernel.Loader, back.Address + BranchSize))];
        Label? setup = kernel.Blocks is { } blocks ? Setup(code, blocks) : null;
        using var bytes = new MemoryStream();
        AssemblerResult result = code.Assemble(new StreamCodeWriter(bytes), place.Value, BlockEncoderOptions.ReturnNewInstructionOffsets);
        return new Assembled(
            bytes.ToArray(),
            (int)(result.GetLabelRIP(salt) - place.Value) + 1,
            [.. callers.Select(caller => new VirtualAddress(result.GetLabelRIP(caller)))],
            setup is Label label ? new VirtualAddress(result.GetLabelRIP(label)) : null);
    }

    /// <summary>The 32 bits for a modules slot: nothing else of the layout enters, so a tenant's VMs agree whatever else is their own.</summary>
    public static uint Salt(ulong slot)
    {
        Span<byte> text = stackalloc byte[32];
        int length = "kaslrmt/v1/module-names/"u8.Length;
        "kaslrmt/v1/module-names/"u8.CopyTo(text);
        BinaryPrimitives.WriteUInt64BigEndian(text[length..], slot);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(text[..(length + sizeof(ulong))], hash);
        return BinaryPrimitives.ReadUInt32BigEndian(hash);
    }

    /// <summary>Where the search for a module's place begins, in bytes above the first address modules may use: what the code computes.</summary>
    public static ulong Start(ReadOnlySpan<byte> name, ulong slot)
    {
        uint hash = Salt(slot);
        foreach (byte letter in name)
        {
            hash = unchecked((hash ^ letter) * 0x01000193);
        }

        return FirstPlace + ((ulong)(hash >> 16) << 12);
    }

    /// <summary>Five bytes that jump.</summary>
    public static byte[] Jump(VirtualAddress from, VirtualAddress to)
    {
        var bytes = new byte[BranchSize];
        bytes[0] = 0xe9;
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(1), unchecked((int)(to.Value - from.Value - BranchSize)));
        return bytes;
    }

    /// <summary>What the allocator's request for address space goes by. Begins with its arguments in place: six in registers, three on the stack.</summary>
    /// <returns>The instruction with the salt.</returns>
    private static Label Placer(Assembler code, ModuleLoading kernel)
    {
        Label ours = code.CreateLabel(), lost = code.CreateLabel(), plain = code.CreateLabel(), ask = code.CreateLabel(), placed = code.CreateLabel();
        FindLoad(code, kernel, ours, ask);
        code.Label(ref ours);
        Array.ForEach([rbx, rbp, r12, r13, r9, r8, rcx, rdx, rsi, rdi], code.push);
        code.mov(rbx, r10);
        code.cmp(__byte_ptr[rbx + 16], Copy);
        code.je(lost);
        Label salt = Hash(code, kernel);
        code.cmp(__byte_ptr[rbx + 16], Placed);
        code.je(plain);
        FirstGroup(code, kernel, placed, lost, plain);
        code.Label(ref lost);
        code.mov(rbp, __[rsp + 16]);
        code.add(rbp, CopiesPlace);
        code.Label(ref plain);
        code.mov(__[rsp + 16], rbp);
        Array.ForEach([rdi, rsi, rdx, rcx, r8, r9, r13, r12, rbp, rbx], code.pop);
        code.Label(ref ask);
        code.call(kernel.Space.Value);
        code.jmp(kernel.Back.Value);
        code.Label(ref placed);
        code.mov(__byte_ptr[rbx + 16], Placed);
        code.add(rsp, 6 * sizeof(ulong));
        Array.ForEach([r13, r12, rbp, rbx], code.pop);
        code.jmp(kernel.Back.Value);
        return salt;
    }

    /// <summary>Up the stack to load_module's frame, and on to what <see cref="Caller"/> left there.</summary>
    private static void FindLoad(Assembler code, ModuleLoading kernel, Label found, Label none)
    {
        Label frame = code.CreateLabel(), info = code.CreateLabel();
        code.mov(r10, rsp);
        Address(code, Register.R11, kernel.FirstReturn);
        Address(code, Register.RAX, kernel.LastReturn);
        code.Label(ref frame);
        code.add(r10, sizeof(ulong));
        code.test(r10d, StackMask);
        code.je(none);
        code.cmp(__[r10], r11);
        code.je(info);
        code.cmp(__[r10], rax);
        code.jne(frame);
        code.Label(ref info);
        code.add(r10, sizeof(ulong));
        code.test(r10d, StackMask);
        code.je(none);
        code.cmp(__qword_ptr[r10], Mark);
        code.je(found);
        code.jmp(info);
    }

    /// <summary>The name's place, into rbp: FNV-1a from the salt.</summary>
    private static Label Hash(Assembler code, ModuleLoading kernel)
    {
        Label salt = code.CreateLabel(), next = code.CreateLabel(), done = code.CreateLabel();
        code.mov(rax, __[rbx + 8]);
        code.mov(r10, __[rax + kernel.NameOffset]);
        code.Label(ref salt);
        code.mov(eax, 0);
        code.Label(ref next);
        code.movzx(r11d, __byte_ptr[r10]);
        code.test(r11d, r11d);
        code.je(done);
        code.xor(eax, r11d);
        code.imul(eax, eax, 0x01000193);
        code.inc(r10);
        code.jmp(next);
        code.Label(ref done);
        code.shr(eax, 16);
        code.shl(eax, 12);
        code.lea(rbp, __[rdx + rax + FirstPlace]);
        return salt;
    }

    /// <summary>A load's first allocation: exactly the name's place, or the next behind what lies there.</summary>
    /// <remarks>rbx: what the caller left; rbp: the place; r12d: rounds left; r13: bytes with the guard page. On the stack: rdi, rsi, rdx, rcx, r8, r9, four saved registers, three arguments.</remarks>
    private static void FirstGroup(Assembler code, ModuleLoading kernel, Label placed, Label lost, Label plain)
    {
        Label again = code.CreateLabel(), check = code.CreateLabel(), other = code.CreateLabel(), retry = code.CreateLabel();
        code.lea(r13, __[rdi + ((2 * PageSize) - 1)]);
        code.and(r13, -PageSize);
        code.mov(__byte_ptr[rbx + 16], Placed);
        code.mov(r12d, Rounds);

        code.Label(ref again);
        for (int argument = 0; argument < 3; argument++)
        {
            code.push(__qword_ptr[rsp + 96]);
        }

        code.mov(rdi, __[rsp + 24]);
        code.mov(rsi, __[rsp + 32]);
        code.mov(rdx, rbp);
        code.lea(rcx, __[rbp + r13]);
        code.mov(r8d, __[rsp + 56]);
        code.or(r8d, NoWarning);
        code.mov(r9, __[rsp + 64]);
        code.call(kernel.Space.Value);
        code.add(rsp, 3 * sizeof(ulong));
        code.test(rax, rax);
        code.jne(placed);
        code.sub(r12d, RoundsOfAttempt);

        code.Label(ref check);
        code.mov(rdi, rbp);
        code.call(kernel.FindArea.Value);
        code.test(rax, rax);
        code.je(retry);
        code.mov(rcx, __[rax + kernel.AreaAddressOffset]);
        code.mov(rdx, __[rax + kernel.AreaSizeOffset]);
        code.cmp(rcx, rbp);
        code.jne(other);
        code.cmp(rdx, r13);
        code.jne(other);
        IsListed(code, kernel);
        code.jne(lost);
        Wait(code, kernel);
        code.jg(check);
        code.jmp(lost);

        // Another module's. The area may go while it is looked at, so what it says is believed within bounds alone.
        code.Label(ref other);
        code.add(rcx, rdx);
        code.mov(rdx, rcx);
        code.sub(rdx, rbp);
        code.cmp(rdx, FirstPlace);
        code.jae(retry);
        code.mov(rbp, rcx);
        code.mov(__byte_ptr[rbx + 16], Placed);
        code.dec(r12d);
        code.jg(again);
        code.jmp(plain);

        // Nobody's: it has just been taken or given back, or the hole is too small.
        code.Label(ref retry);
        Wait(code, kernel);
        code.jg(again);
        code.mov(__byte_ptr[rbx + 16], Placed);
        code.jmp(plain);
    }

    /// <summary>Whether the module is in the kernel's list and further than its first steps: flags as after a comparison with zero.</summary>
    private static void IsListed(Assembler code, ModuleLoading kernel)
    {
        code.mov(__byte_ptr[rbx + 16], Copy);
        Address(code, Register.RDI, kernel.Mutex);
        code.call(kernel.Lock.Value);
        code.mov(rax, __[rbx + 8]);
        code.mov(rdi, __[rax + kernel.NameOffset]);
        code.call(kernel.FindModule.Value);
        code.push(rax);
        Address(code, Register.RDI, kernel.Mutex);
        code.call(kernel.Unlock.Value);
        code.pop(rax);
        code.test(rax, rax);
    }

    /// <summary>Sleeps and counts: greater while there are rounds left.</summary>
    private static void Wait(Assembler code, ModuleLoading kernel)
    {
        code.mov(edi, MillisecondsToWait);
        code.call(kernel.Sleep.Value);
        code.dec(r12d);
    }

    /// <summary>What a call of load_module goes by: it leaves a mark, struct load_info, and room for what becomes known of the load.</summary>
    private static Label Caller(Assembler code, VirtualAddress loader, VirtualAddress back)
    {
        Label start = code.CreateLabel();
        code.Label(ref start);
        code.push(0);
        code.push(rdi);
        code.push(Mark);
        code.call(loader.Value);
        code.and(__qword_ptr[rsp], 0); // no later call may find the mark
        code.add(rsp, 3 * sizeof(ulong));
        code.jmp(back.Value);
        return start;
    }

    /// <summary>Text of modules is allocated as it is on processors without large pages: by itself, and made read-only when it is complete.</summary>
    private static Label Setup(Assembler code, ModuleLoading.LargeBlocks blocks)
    {
        Label start = code.CreateLabel();
        code.Label(ref start);
        code.call(blocks.Function.Value);
        code.mov(rcx, __[rax + blocks.DataProtectionOffset]);
        code.mov(__[rax + blocks.TextProtectionOffset], rcx);
        code.and(__dword_ptr[rax + blocks.TextFlagsOffset], ~blocks.Flag);
        code.jmp(blocks.Back.Value);
        return start;
    }

    private static void Address(Assembler code, Register register, VirtualAddress target) =>
        code.AddInstruction(Instruction.Create(Code.Lea_r64_m, register, new MemoryOperand(Register.RIP, unchecked((long)target.Value))));

    /// <summary>The code.</summary>
    /// <param name="Bytes">What goes to the place; the placer begins it.</param>
    /// <param name="SaltOffset">Where the salt lies in them.</param>
    /// <param name="Callers">Where each caller's part begins.</param>
    /// <param name="Setup">Where the part begins that does without large blocks.</param>
    internal sealed record Assembled(byte[] Bytes, int SaltOffset, IReadOnlyList<VirtualAddress> Callers, VirtualAddress? Setup);
}
