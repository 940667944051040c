using System.Buffers.Binary;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>A kernel image's own tables of the places that it changes in itself, read from the image and never from the guest.</summary>
/// <remarks>
/// Their bounds are symbols of the linker script (<c>arch/x86/kernel/vmlinux.lds.S</c>, <c>include/asm-generic/vmlinux.lds.h</c>), which
/// kallsyms keeps where section headers may be stripped. A table that a kernel lacks is empty. Addresses come out as the moved image has them.
/// </remarks>
internal sealed class PatchTables
{
    // The largest is .return_sites with some ten thousand entries; a hostile image gains nothing by more.
    private const int MostBytes = 16 << 20;

    private readonly KernelImage _image;
    private readonly ulong _slide;
    private readonly VirtualAddress?[] _bounds;

    /// <summary>Finds the tables' bounds.</summary>
    /// <param name="image">The image, moved to where the guest's kernel runs.</param>
    /// <param name="slide">By how much it was moved.</param>
    public PatchTables(KernelImage image, ulong slide)
    {
        _image = image;
        _slide = slide;
        image.Symbols.TryResolve(Names.SelectMany(pair => new[] { pair.Start, pair.End }).ToArray(), out _bounds);
    }

    private static (string Start, string End)[] Names { get; } =
    [
        ("__alt_instructions", "__alt_instructions_end"),
        ("__parainstructions", "__parainstructions_end"),
        ("__retpoline_sites", "__retpoline_sites_end"),
        ("__return_sites", "__return_sites_end"),
        ("__smp_locks", "__smp_locks_end"),
        ("__ibt_endbr_seal", "__ibt_endbr_seal_end"),
        ("__start___jump_table", "__stop___jump_table"),
        ("__start_static_call_sites", "__stop_static_call_sites"),
        ("__start_mcount_loc", "__stop_mcount_loc"),
    ];

    public IEnumerable<ulong> RetpolineSites => Relative(2);

    public IEnumerable<ulong> ReturnSites => Relative(3);

    public IEnumerable<ulong> LockPrefixes => Relative(4);

    public IEnumerable<ulong> SealedEntries => Relative(5);

    /// <summary>Jump labels: <c>struct jump_entry</c>, {s32 code, s32 target, s64 key} (<c>include/linux/jump_label.h</c>).</summary>
    public IEnumerable<(ulong Code, ulong Target)> JumpLabels
    {
        get
        {
            const int Size = 16;
            byte[] table = Table(6, out ulong at);
            for (int i = 0; i + Size <= table.Length; i += Size)
            {
                yield return (Follow(table, at, i), Follow(table, at, i + 4));
            }
        }
    }

    /// <summary>Static calls: <c>struct static_call_site</c>, {s32 addr, s32 key and flags} (<c>include/linux/static_call_types.h</c>).</summary>
    public IEnumerable<(ulong Code, ulong Key, bool IsTail)> StaticCalls
    {
        get
        {
            const int Size = 8;
            const ulong Tail = 1;
            const ulong Flags = 3;
            byte[] table = Table(7, out ulong at);
            for (int i = 0; i + Size <= table.Length; i += Size)
            {
                ulong key = Follow(table, at, i + 4);
                yield return (Follow(table, at, i), key & ~Flags, (key & Tail) != 0);
            }
        }
    }

    /// <summary>The calls of <c>__fentry__</c> that ftrace owns: absolute addresses.</summary>
    public IEnumerable<ulong> TraceSites
    {
        get
        {
            byte[] table = Table(8, out _);
            for (int i = 0; i + sizeof(ulong) <= table.Length; i += sizeof(ulong))
            {
                yield return BinaryPrimitives.ReadUInt64LittleEndian(table.AsSpan(i));
            }
        }
    }

    /// <summary>Paravirt calls of kernels before 6.8: <c>struct paravirt_patch_site</c>, {u8 *instr, u8 type, u8 len}, 16 bytes.</summary>
    public IEnumerable<(ulong Code, int Type, int Length)> ParavirtCalls
    {
        get
        {
            const int Size = 16;
            byte[] table = Table(1, out _);
            for (int i = 0; i + 10 <= table.Length; i += Size)
            {
                yield return (BinaryPrimitives.ReadUInt64LittleEndian(table.AsSpan(i)), table[i + 8], table[i + 9]);
            }
        }
    }

    /// <summary>Alternatives, in the order they are applied (<c>struct alt_instr</c>, <c>arch/x86/include/asm/alternative.h</c>).</summary>
    /// <param name="isText">Whether an address is text, by which the size of the kernel's structure is told.</param>
    public IReadOnlyList<Alternative> Alternatives(Func<ulong, bool> isText)
    {
        byte[] table = Table(0, out ulong at);

        // 14 bytes since 6.3 (cpuid and flags), 12 since 5.14, 13 before it (padlen).
        foreach ((int size, int lengths) in ((int, int)[])[(14, 12), (12, 10), (13, 10)])
        {
            if (table.Length % size == 0 && Enumerable.Range(0, table.Length / size).All(i => isText(Follow(table, at, i * size))))
            {
                return [.. Enumerable.Range(0, table.Length / size).Select(i => new Alternative(
                    Follow(table, at, i * size), table[(i * size) + lengths], Follow(table, at, (i * size) + 4), table[(i * size) + lengths + 1]))];
            }
        }

        return [];
    }

    /// <summary>Run-time constants, from 6.11 on: which variable is built into the code where (<c>arch/x86/include/asm/runtime-const.h</c>).</summary>
    /// <param name="tables">The tables' names (kind and variable) and link addresses.</param>
    public IEnumerable<RuntimeConstant> RuntimeConstants(IReadOnlyList<(string Name, VirtualAddress Start)> tables)
    {
        foreach ((string name, VirtualAddress start) in tables)
        {
            string variable = name[(name.IndexOf('_', StringComparison.Ordinal) + 1)..];
            int width = name.StartsWith("ptr_", StringComparison.Ordinal) ? sizeof(ulong) : name.StartsWith("shift_", StringComparison.Ordinal) ? 1
                : name.StartsWith("mask_", StringComparison.Ordinal) ? sizeof(uint) : 0;
            _image.Symbols.TryResolve([$"__stop_runtime_{name}", variable], out VirtualAddress?[] found);
            if (width > 0 && found[0] is VirtualAddress end)
            {
                byte[] table = Table(start, end, out ulong at);
                yield return new RuntimeConstant(width, found[1] is VirtualAddress address ? address.Value + _slide : null, [.. Relative(table, at)]);
            }
        }
    }

    private IEnumerable<ulong> Relative(int table)
    {
        byte[] bytes = Table(table, out ulong at);
        return Relative(bytes, at);
    }

    private static IEnumerable<ulong> Relative(byte[] bytes, ulong at)
    {
        for (int i = 0; i + sizeof(int) <= bytes.Length; i += sizeof(int))
        {
            yield return Follow(bytes, at, i);
        }
    }

    private byte[] Table(int index, out ulong address)
    {
        address = 0;
        return _bounds[2 * index] is VirtualAddress start && _bounds[(2 * index) + 1] is VirtualAddress end ? Table(start, end, out address) : [];
    }

    private byte[] Table(VirtualAddress start, VirtualAddress end, out ulong address)
    {
        address = 0;
        if (end <= start || end - start > MostBytes)
        {
            return [];
        }

        address = start.Value + _slide;
        return _image.Bytes(start, (int)(end - start)).ToArray();
    }

    private static ulong Follow(byte[] table, ulong at, int offset) =>
        unchecked(at + (ulong)offset + (ulong)BinaryPrimitives.ReadInt32LittleEndian(table.AsSpan(offset)));

    /// <summary>A variable's value built into the code at <paramref name="Sites"/>, <paramref name="Width"/> bytes each.</summary>
    public sealed record RuntimeConstant(int Width, ulong? Variable, IReadOnlyList<ulong> Sites);

    /// <summary>One alternative: at <paramref name="Code"/>, <paramref name="Length"/> bytes may be replaced.</summary>
    public readonly record struct Alternative(ulong Code, int Length, ulong Replacement, int ReplacementLength);
}
