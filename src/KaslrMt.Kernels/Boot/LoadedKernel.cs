using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Kernels;

/// <summary>A kernel in a guest's memory, ready to be entered at its 64-bit entry.</summary>
/// <remarks>What an image leaves to QEMU and to its stub, the host does here itself: the same kernel with the same layout is the same memory either way.</remarks>
public sealed class LoadedKernel
{
    private readonly KernelFacts _kernel;
    private readonly PhysicalAddress _physicalBase;
    private readonly bool _randomized;

    private LoadedKernel(KernelFacts kernel, KernelLayout layout, ImmutableArray<LoadedSegment> segments)
    {
        _kernel = kernel;
        _physicalBase = layout.KernelPhysical;
        _randomized = !layout.IsLink;
        Segments = segments;
        Entry = new PhysicalAddress(unchecked(kernel.Entry + layout.KernelPhysical.Value - kernel.LinkPhysical));
    }

    /// <summary>The size of the page tables in bytes.</summary>
    public static int PageTablesSize => IdentityMap.Size;

    /// <summary>Where the kernel's segments lie, in the order of the file.</summary>
    public ImmutableArray<LoadedSegment> Segments { get; }

    /// <summary>The kernel's 64-bit entry.</summary>
    public PhysicalAddress Entry { get; }

    /// <summary>Writes a kernel into a guest's memory.</summary>
    /// <param name="kernel">The kernel; it is moved to the layout's virtual base.</param>
    /// <param name="layout">Where its regions lie, planned for this kernel.</param>
    /// <param name="modules">How the kernel places modules.</param>
    /// <param name="write">Writes bytes at a physical address. What of a segment is not in the file is not written: the guest is to clear it.</param>
    /// <exception cref="KaslrMtException">KMT2507; what <paramref name="write"/> throws.</exception>
    public static LoadedKernel Write(PreparedKernel kernel, KernelLayout layout, ModuleAddresses modules, BytesAtAddress write)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(write);
        KernelFacts facts = kernel.Facts;
        ulong slide = unchecked(layout.KernelPhysical.Value - facts.LinkPhysical);
        ImmutableArray<LoadedSegment> segments = [.. facts.Segments.Select(segment =>
            new LoadedSegment(new PhysicalAddress(unchecked(segment.PhysicalAddress + slide)), (ulong)segment.FileSize, segment.MemorySize))];
        kernel.MoveTo(layout.KernelVirtual);
        for (int i = 0; i < segments.Length; i++)
        {
            write(kernel.Bytes(i), segments[i].Start);
        }

        if (!layout.IsLink)
        {
            ImmutableArray<long> offsets = BootImageFile.SegmentOffsets(facts.Segments.Select(segment => segment.FileSize));
            BootImageFile.WriteRegions((bytes, offset) => write(bytes, AddressOf(offset, offsets, segments)), facts, layout, modules);
        }

        return new LoadedKernel(facts, layout, segments);
    }

    /// <summary>Builds the zero page.</summary>
    /// <param name="parameters">What the kernel is told.</param>
    /// <returns>4096 bytes.</returns>
    public byte[] BuildZeroPage(BootParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(parameters.MemoryMap.Count, BootParameters.MostMapEntries);
        var page = new byte[ZeroPage.Size];
        ZeroPage.Fill(page, _kernel.SetupHeader, _kernel.Alignment, _randomized);
        ZeroPage.Complete(page, parameters);
        return page;
    }

    /// <summary>Builds page tables that map what lies below 4 GiB, and the kernel, to themselves.</summary>
    /// <param name="address">Where they will lie; a multiple of 4096. The top table comes first.</param>
    /// <returns><see cref="PageTablesSize"/> bytes.</returns>
    public byte[] BuildPageTables(uint address)
    {
        var tables = new byte[IdentityMap.Size];
        ulong end = _kernel.Segments[^1].PhysicalAddress + _kernel.Segments[^1].MemorySize;
        IdentityMap.Build(tables, address, _physicalBase, end - _kernel.LinkPhysical);
        return tables;
    }

    private static PhysicalAddress AddressOf(long offset, ImmutableArray<long> offsets, ImmutableArray<LoadedSegment> segments)
    {
        int i = segments.Length - 1;
        while (offset < offsets[i])
        {
            i--;
        }

        return segments[i].Start + (ulong)(offset - offsets[i]);
    }
}

/// <summary>A segment in a guest's memory; sizes in bytes.</summary>
/// <param name="Start">Its first byte.</param>
/// <param name="FileSize">How many bytes were written.</param>
/// <param name="MemorySize">How many it has; the rest is to be zeros.</param>
public readonly record struct LoadedSegment(PhysicalAddress Start, ulong FileSize, ulong MemorySize);

/// <summary>Writes bytes into a guest's memory.</summary>
/// <param name="bytes">The bytes.</param>
/// <param name="address">The physical address of the first one.</param>
public delegate void BytesAtAddress(ReadOnlySpan<byte> bytes, PhysicalAddress address);
