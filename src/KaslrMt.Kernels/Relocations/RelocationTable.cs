using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>
/// Where a kernel must be changed when it runs at another virtual address than the one it was linked for
/// (<c>arch/x86/tools/relocs.c</c> writes the table, <c>handle_relocations</c> in <c>arch/x86/boot/compressed/misc.c</c> reads it).
/// Every entry was checked against the image's segments when the table was made. Immutable; may be shared by threads.
/// </summary>
public sealed class RelocationTable
{
    /// <summary>No kernel comes near: Debian's have about 320,000, one with every driver built in a few million.</summary>
    internal const int MaximumEntries = 16 << 20;

    private const string Remedy = "the kernel image is damaged or of a kind this version does not know, take it from its package again";

    private readonly RelocationList _add32;
    private readonly RelocationList _subtract32;
    private readonly RelocationList _add64;

    internal RelocationTable(RelocationList add32, RelocationList subtract32, RelocationList add64, bool hasInverse)
    {
        _add32 = add32;
        _subtract32 = subtract32;
        _add64 = add64;
        HasInverse = hasInverse;
    }

    /// <summary>Places of 4 bytes that grow with the slide: low halves of link addresses, ascending.</summary>
    public ReadOnlySpan<uint> Add32 => _add32.Entries;

    /// <summary>Places of 4 bytes that shrink: distances to zero-based per-CPU data. Low halves of link addresses, ascending.</summary>
    public ReadOnlySpan<uint> Subtract32 => _subtract32.Entries;

    /// <summary>Places of 8 bytes that grow with the slide: low halves of link addresses, ascending.</summary>
    public ReadOnlySpan<uint> Add64 => _add64.Entries;

    /// <summary>Whether the table has an inverse list, empty or not: kernels before 6.15, whose per-CPU data is linked at 0.</summary>
    public bool HasInverse { get; }

    /// <summary>The entries of all lists.</summary>
    public int Count => _add32.Count + _subtract32.Count + _add64.Count;

    /// <summary>The link address of an entry: its 32 bits, sign-extended.</summary>
    public static VirtualAddress LinkAddress(uint entry) => new(unchecked((ulong)(int)entry));

    /// <summary>
    /// Reads the table behind the ELF. In the file's order it is: 0, 64-bit list, [0, inverse 32-bit list,] 0, 32-bit list; so
    /// it is read backwards from the payload's end. Whether there is an inverse list shows in how many lists it takes to come
    /// back to exactly the end of the ELF.
    /// </summary>
    /// <param name="payload">The unpacked payload: the ELF and all that lies behind it.</param>
    /// <param name="elf">The headers of that ELF.</param>
    /// <exception cref="KaslrMtException">One of <see cref="KernelErrors"/>.</exception>
    public static RelocationTable Read(ReadOnlySpan<byte> payload, ElfImage elf)
    {
        ArgumentNullException.ThrowIfNull(elf);
        if (payload.Length <= elf.FileEnd)
        {
            throw new KaslrMtException(
                KernelErrors.RelocationTableMissing,
                $"no relocation table: the payload ends with the kernel ELF at offset 0x{elf.FileEnd:x}",
                "only a kernel built with CONFIG_RANDOMIZE_BASE=y can be moved");
        }

        ReadOnlySpan<byte> bytes = payload[elf.FileEnd..];
        if (bytes.Length % sizeof(uint) != 0)
        {
            throw new KaslrMtException(
                KernelErrors.RelocationTableSize,
                $"relocation table at payload offset 0x{elf.FileEnd:x}: expected a multiple of 4 bytes, found 0x{bytes.Length:x}",
                Remedy);
        }

        if (bytes.Length / sizeof(uint) > MaximumEntries)
        {
            throw new KaslrMtException(
                KernelErrors.TooManyRelocations,
                $"relocation table at payload offset 0x{elf.FileEnd:x}: expected at most {MaximumEntries} entries, "
                + $"found {bytes.Length / sizeof(uint)}",
                Remedy);
        }

        uint[] entries = new uint[bytes.Length / sizeof(uint)];
        bytes.CopyTo(MemoryMarshal.AsBytes(entries.AsSpan()));
        return Split(entries, elf);
    }

    /// <summary>
    /// Makes the table from a vmlinux's own relocation sections, as <c>arch/x86/tools/relocs.c</c> does while a kernel is built:
    /// for a vmlinux linked with <c>--emit-relocs</c> (CONFIG_X86_NEED_RELOCS) that still has them. Newer builds strip them from
    /// <c>vmlinux</c> and may keep them in <c>vmlinux.unstripped</c>.
    /// </summary>
    /// <param name="file">The vmlinux.</param>
    /// <param name="elf">Its headers.</param>
    /// <remarks>
    /// <see cref="HasInverse"/> follows from the section <c>.data..percpu</c> being linked at address 0. A kernel before 6.15 for
    /// one processor has it elsewhere, and then lacks the empty inverse list that its own build writes: the only difference.
    /// </remarks>
    /// <exception cref="KaslrMtException">One of <see cref="KernelErrors"/>.</exception>
    public static RelocationTable FromRelaSections(ReadOnlySpan<byte> file, ElfImage elf)
    {
        ArgumentNullException.ThrowIfNull(elf);
        return new RelaReader(file, elf).Read();
    }

    /// <summary>The table as it lies behind the ELF in a payload: 0, 64-bit list, [0, inverse 32-bit list,] 0, 32-bit list.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[sizeof(uint) * (Count + (HasInverse ? 3 : 2))];
        Span<uint> rest = MemoryMarshal.Cast<byte, uint>(bytes.AsSpan());
        Add64.CopyTo(rest[1..]);
        rest = rest[(Add64.Length + 1)..];
        if (HasInverse)
        {
            Subtract32.CopyTo(rest[1..]);
            rest = rest[(Subtract32.Length + 1)..];
        }

        Add32.CopyTo(rest[1..]);
        return bytes;
    }

    /// <summary>Relocates the kernel inside its file: segments lie at their file offsets.</summary>
    /// <param name="file">The file the table was read from or made for; changed in place.</param>
    /// <param name="slide">The kernel's virtual base minus its link base, modulo 2^64. The negated slide undoes it.</param>
    /// <exception cref="ArgumentException">The buffer is shorter than the file was; it is unchanged.</exception>
    public void Apply(Span<byte> file, ulong slide) => Apply(file, new RelocationTarget(false, 0), slide);

    /// <summary>Relocates the kernel in memory: segments lie at their distances from the image's start.</summary>
    /// <param name="image">The memory; changed in place.</param>
    /// <param name="start">The physical address, as linked, of the memory's first byte: <see cref="ElfImage.PhysicalStart"/>.</param>
    /// <param name="slide">How far the kernel moves virtually, modulo 2^64. The negated slide undoes it.</param>
    /// <exception cref="ArgumentException">A segment lies outside the buffer, which is unchanged.</exception>
    public void ApplyFlat(Span<byte> image, PhysicalAddress start, ulong slide) =>
        Apply(image, new RelocationTarget(true, start.Value), slide);

    private static RelocationTable Split(uint[] entries, ElfImage elf)
    {
        int before32 = Terminator(entries, entries.Length, elf, "32-bit");
        int second = Terminator(entries, before32, elf, "64-bit or inverse 32-bit");
        bool hasInverse = second != 0;
        int before64 = hasInverse ? Terminator(entries, second, elf, "64-bit") : second;
        int end64 = hasInverse ? second : before32;

        // Every kernel has 64-bit entries. An empty list there means zeros between the ELF and the table, and then
        // the lists would be taken for each other.
        if (before64 != 0 || end64 == 1)
        {
            throw new KaslrMtException(
                KernelErrors.RelocationTableShape,
                $"relocation table: expected a zero and 64-bit entries where the ELF ends (payload offset 0x{elf.FileEnd:x}), "
                + $"found its first list at offset 0x{Offset(elf, before64):x} with {end64 - before64 - 1} entries",
                Remedy);
        }

        int inverse = hasInverse ? before32 - second - 1 : 0;
        return new RelocationTable(
            RelocationList.Create(elf, entries, before32 + 1, entries.Length - before32 - 1, sizeof(uint), "32-bit"),
            RelocationList.Create(elf, entries, second + 1, inverse, sizeof(uint), "inverse 32-bit"),
            RelocationList.Create(elf, entries, 1, end64 - 1, sizeof(ulong), "64-bit"),
            hasInverse);
    }

    private static int Terminator(uint[] entries, int end, ElfImage elf, string list)
    {
        int at = entries.AsSpan(0, end).LastIndexOf(0u);
        return at >= 0
            ? at
            : throw new KaslrMtException(
                KernelErrors.RelocationTerminator,
                $"relocation table: the {list} list that ends at payload offset 0x{Offset(elf, end):x} has no beginning: "
                + $"expected a zero at or behind the end of the ELF (0x{elf.FileEnd:x}), found none",
                Remedy);
    }

    private static long Offset(ElfImage elf, int index) => elf.FileEnd + ((long)index * sizeof(uint));

    private void Apply(Span<byte> image, RelocationTarget target, ulong slide)
    {
        _add32.Require(image, target);
        _subtract32.Require(image, target);
        _add64.Require(image, target);
        _add32.Add32(image, target, unchecked((uint)slide));
        _subtract32.Add32(image, target, unchecked((uint)(0 - slide)));
        _add64.Add64(image, target, slide);
    }
}
