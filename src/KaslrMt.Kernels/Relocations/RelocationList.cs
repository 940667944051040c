using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>
/// One list of a relocation table, sorted, and cut into runs that each lie in one segment. All entries were checked against
/// the segments when the list was made, so applying needs one check for each run and none for each entry.
/// </summary>
internal sealed class RelocationList
{
    private readonly uint[] _entries;
    private readonly int _first;
    private readonly ImmutableArray<RelocationRun> _runs;

    private RelocationList(uint[] entries, int first, int count, ImmutableArray<RelocationRun> runs)
    {
        _entries = entries;
        _first = first;
        Count = count;
        _runs = runs;
    }

    internal int Count { get; }

    /// <summary>The low halves of the link addresses, ascending.</summary>
    internal ReadOnlySpan<uint> Entries => _entries.AsSpan(_first, Count);

    /// <summary>Takes over <paramref name="count"/> entries of the array from <paramref name="first"/> on, sorts and checks them.</summary>
    /// <param name="elf">The image the entries must lie in.</param>
    /// <param name="entries">The array; nobody else may change it afterwards.</param>
    /// <param name="first">The index of the list's first entry.</param>
    /// <param name="count">How many entries there are.</param>
    /// <param name="width">How many bytes each entry changes: 4 or 8.</param>
    /// <param name="name">How messages call the list.</param>
    internal static RelocationList Create(ElfImage elf, uint[] entries, int first, int count, int width, string name)
    {
        Span<uint> list = entries.AsSpan(first, count);
        if (!IsSorted(list))
        {
            // The kernel's tool sorts, its decompressor does not ask for it; sums come out the same in any order.
            list.Sort();
        }

        var runs = ImmutableArray.CreateBuilder<RelocationRun>(elf.Loads.Length);
        int done = 0;
        foreach (ElfSegment load in elf.Loads)
        {
            if (load.FileSize < width)
            {
                continue;
            }

            uint lowest = LowHalf(load.PhysicalAddress.Value);
            uint highest = LowHalf(load.PhysicalAddress.Value + (ulong)(load.FileSize - width));
            if (done < count && list[done] < lowest)
            {
                break;
            }

            int end = done + CountUpTo(list[done..], highest);
            if (end > done)
            {
                runs.Add(new RelocationRun(first + done, end - done, load.PhysicalAddress.Value, load.FileOffset, load.FileSize));
            }

            done = end;
        }

        return done == count
            ? new RelocationList(entries, first, count, runs.DrainToImmutable())
            : throw Outside(elf, list[done], width, name);
    }

    /// <summary>Checks that the buffer holds every segment that the list changes. Nothing else keeps writes inside it.</summary>
    internal void Require(ReadOnlySpan<byte> image, RelocationTarget target)
    {
        foreach (RelocationRun run in _runs)
        {
            target.Require(image, run);
        }
    }

    /// <summary>Adds to each 4-byte place, modulo 2^32 as the kernel does; only after <see cref="Require"/> on the same buffer.</summary>
    internal void Add32(Span<byte> image, RelocationTarget target, uint addend)
    {
        foreach (RelocationRun run in _runs)
        {
            ref byte origin = ref MemoryMarshal.GetReference(image);
            nint bias = target.Bias(run);
            foreach (uint entry in _entries.AsSpan(run.First, run.Count))
            {
                ref byte place = ref Unsafe.AddByteOffset(ref origin, (nint)entry + bias);
                Unsafe.WriteUnaligned(ref place, Unsafe.ReadUnaligned<uint>(ref place) + addend);
            }
        }
    }

    /// <summary>Adds to each 8-byte place, modulo 2^64; only after <see cref="Require"/> on the same buffer.</summary>
    internal void Add64(Span<byte> image, RelocationTarget target, ulong addend)
    {
        foreach (RelocationRun run in _runs)
        {
            ref byte origin = ref MemoryMarshal.GetReference(image);
            nint bias = target.Bias(run);
            foreach (uint entry in _entries.AsSpan(run.First, run.Count))
            {
                ref byte place = ref Unsafe.AddByteOffset(ref origin, (nint)entry + bias);
                Unsafe.WriteUnaligned(ref place, Unsafe.ReadUnaligned<ulong>(ref place) + addend);
            }
        }
    }

    /// <summary>The low half of the link address of a physical address below 1 GiB.</summary>
    private static uint LowHalf(ulong physical) => (uint)physical + unchecked((uint)ElfImage.StartKernelMap);

    private static bool IsSorted(ReadOnlySpan<uint> list)
    {
        for (int index = 1; index < list.Length; index++)
        {
            if (list[index] < list[index - 1])
            {
                return false;
            }
        }

        return true;
    }

    private static int CountUpTo(ReadOnlySpan<uint> sorted, uint highest)
    {
        int low = 0;
        int high = sorted.Length;
        while (low < high)
        {
            int middle = (int)((uint)(low + high) / 2);
            (low, high) = sorted[middle] <= highest ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    private static KaslrMtException Outside(ElfImage elf, uint entry, int width, string name) =>
        new(
            KernelErrors.RelocationOutside,
            $"the {name} relocation list names {width} bytes at {RelocationTable.LinkAddress(entry)}, "
            + "expected bytes that the file holds, inside one segment "
            + $"between {new VirtualAddress(elf.PhysicalStart.Value + ElfImage.StartKernelMap)} "
            + $"and {new VirtualAddress(elf.PhysicalEnd.Value + ElfImage.StartKernelMap)}",
            "the kernel image is damaged, take it from its package again");
}
