using System.Buffers.Binary;
using System.Security.Cryptography;

namespace KaslrMt.Kernels;

/// <summary>Assembles the code of <see cref="ModuleNamePatch"/>. It refers to its surroundings by distance alone, so it moves with the kernel.</summary>
/// <remarks>
/// Direct calls and jumps only, and no return of its own: what mitigations do to indirect branches and returns is not touched. A module's search
/// begins 64 MiB above the first address modules may use, plus one of 65,536 pages. Other users of the area begin at its start and are never met there.
/// </remarks>
internal sealed class ModuleNameCode
{
    /// <summary>Where in the code the salt lies.</summary>
    public const int SaltOffset = 71;

    private const int Out = 151;
    private const int PlacerSize = Out + BranchSize;
    private const byte MillisecondsToWait = 100;
    private const int CallerSize = 25;
    private const int BranchSize = 5;
    private const int MostBytes = 1024;

    private readonly VirtualAddress _place;
    private readonly List<byte> _bytes = new(MostBytes);

    /// <summary>Begins with the code that moves the lowest address asked for.</summary>
    /// <param name="place">Where the code will lie.</param>
    /// <param name="surroundings">What it refers to.</param>
    public ModuleNameCode(VirtualAddress place, Surroundings surroundings)
    {
        _place = place;
        Add([0x49, 0x89, 0xe2]); // mov r10, rsp
        AddDistance([0x4c, 0x8d, 0x1d], surroundings.FirstReturn); // lea r11, [firstReturn]
        AddDistance([0x48, 0x8d, 0x05], surroundings.LastReturn); // lea rax, [lastReturn]

        // Up the stack to load_module's frame. A kernel stack is 16 KiB or more, aligned.
        Add([0x49, 0x83, 0xc2, 0x08]); // frame: add r10, 8
        Add([0x41, 0xf7, 0xc2, 0xf8, 0x3f, 0x00, 0x00]); // test r10d, 0x3ff8
        Add([0x74, Out - 30]); // jz out
        Add([0x4d, 0x39, 0x1a]); // cmp [r10], r11
        Add([0x74, 40 - 35]); // je info
        Add([0x49, 0x39, 0x02]); // cmp [r10], rax
        Add([0x75, unchecked((byte)(17 - 40))]); // jne frame

        // On to what the caller's stub left.
        Add([0x49, 0x83, 0xc2, 0x08]); // info: add r10, 8
        Add([0x41, 0xf7, 0xc2, 0xf8, 0x3f, 0x00, 0x00]); // test r10d, 0x3ff8
        Add([0x74, Out - 53]); // jz out
        Add([0x49, 0x81, 0x3a, .. Mark]); // cmp qword [r10], mark
        Add([0x75, unchecked((byte)(40 - 62))]); // jne info
        Add([0x49, 0x8b, 0x42, 0x08]); // mov rax, [r10 + 8]
        Add([0x4c, 0x8b, 0x50, checked((byte)surroundings.NameOffset)]); // mov r10, [rax + nameOffset]

        // FNV-1a from the salt.
        Add([0xb8, 0, 0, 0, 0]); // mov eax, salt
        Add([0x45, 0x0f, 0xb6, 0x1a]); // next: movzx r11d, byte [r10]
        Add([0x45, 0x85, 0xdb]); // test r11d, r11d
        Add([0x74, 98 - 84]); // jz done
        Add([0x44, 0x31, 0xd8]); // xor eax, r11d
        Add([0x69, 0xc0, 0x93, 0x01, 0x00, 0x01]); // imul eax, eax, 0x01000193
        Add([0x49, 0xff, 0xc2]); // inc r10
        Add([0xeb, unchecked((byte)(75 - 98))]); // jmp next
        Add([0xc1, 0xe8, 0x10]); // done: shr eax, 16
        Add([0xc1, 0xe0, 0x0c]); // shl eax, 12
        Add([0x48, 0x8d, 0x94, 0x02, 0x00, 0x00, 0x00, 0x04]); // lea rdx, [rdx + rax + 64 MiB]
        // A module that two processes load at once lies there already, and either may win in add_unformed_module. The later one waits, and loses.
        // From 6.4 on each group of a module's sections is asked for on its own, so that what lies there is mostly the module's own text: no waiting.
        bool waits = surroundings.FirstReturn != surroundings.LastReturn;
        Add([0x57, 0x56, 0x52, 0x51, 0x41, 0x50, 0x41, 0x51]); // push rdi, rsi, rdx, rcx, r8, r9
        Add([0x48, 0x89, 0xd7]); // mov rdi, rdx
        AddDistance([0xe8], surroundings.FindArea); // call find_vm_area
        Add([0x48, 0x85, 0xc0]); // test rax, rax
        Add([waits ? (byte)0x74 : (byte)0xeb, 10]); // jz free; or jmp free
        Add([0xbf, MillisecondsToWait, 0, 0, 0]); // mov edi, milliseconds
        AddDistance([0xe8], surroundings.Sleep); // call msleep
        Add([0x41, 0x59, 0x41, 0x58, 0x59, 0x5a, 0x5e, 0x5f]); // free: pop r9, r8, rcx, rdx, rsi, rdi
        AddDistance([0xe9], surroundings.Space); // out: jmp __vmalloc_node_range
    }

    private static ReadOnlySpan<byte> Mark => "kmtn"u8;

    /// <summary>How many bytes the code takes.</summary>
    public static int Size(int callers) => PlacerSize + (callers * CallerSize);

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

        return (64UL << 20) + ((ulong)(hash >> 16) << 12);
    }

    /// <summary>Five bytes that call.</summary>
    public static byte[] Call(VirtualAddress from, VirtualAddress to) => Branch(0xe8, from, to);

    /// <summary>Five bytes that jump.</summary>
    public static byte[] Jump(VirtualAddress from, VirtualAddress to) => Branch(0xe9, from, to);

    /// <summary>Adds what a call of load_module goes by.</summary>
    /// <param name="loader">load_module.</param>
    /// <param name="back">Where its caller goes on.</param>
    /// <returns>Where it begins.</returns>
    public VirtualAddress AddCaller(VirtualAddress loader, VirtualAddress back)
    {
        VirtualAddress start = _place + (ulong)_bytes.Count;
        Add([0x57]); // push rdi: struct load_info
        Add([0x68, .. Mark]); // push mark
        AddDistance([0xe8], loader); // call load_module
        Add([0x48, 0x83, 0x24, 0x24, 0x00]); // and qword [rsp], 0: no later call may find the mark
        Add([0x48, 0x83, 0xc4, 0x10]); // add rsp, 16
        AddDistance([0xe9], back); // jmp back
        return start;
    }

    /// <summary>The code.</summary>
    public byte[] ToArray() => [.. _bytes];

    private static byte[] Branch(byte opcode, VirtualAddress from, VirtualAddress to)
    {
        var bytes = new byte[BranchSize];
        bytes[0] = opcode;
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(1), unchecked((int)(to.Value - from.Value - BranchSize)));
        return bytes;
    }

    private void Add(ReadOnlySpan<byte> bytes) => _bytes.AddRange(bytes);

    private void AddDistance(ReadOnlySpan<byte> opcode, VirtualAddress target)
    {
        Add(opcode);
        Span<byte> distance = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(distance, unchecked((int)(target.Value - _place.Value - (ulong)_bytes.Count - sizeof(int))));
        Add(distance);
    }

    /// <summary>What of the kernel the code refers to.</summary>
    /// <param name="FirstReturn">Where load_module goes on after it called the allocator.</param>
    /// <param name="LastReturn">The same for its second call; or the first once more.</param>
    /// <param name="Space">The function that gives address space; its third argument (rdx) is the lowest address.</param>
    /// <param name="FindArea">The function that tells whether an address is taken.</param>
    /// <param name="Sleep">The function that waits for milliseconds.</param>
    /// <param name="NameOffset">Where struct load_info has its name, up to 127.</param>
    internal sealed record Surroundings(
        VirtualAddress FirstReturn, VirtualAddress LastReturn, VirtualAddress Space, VirtualAddress FindArea, VirtualAddress Sleep, int NameOffset);
}
