using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Kernels;

/// <summary>A distribution's kernel that can be given a layout. Not for use by two threads at once.</summary>
public sealed class KernelImage : IDisposable
{
    /// <summary>The variables by which a running guest's layout is observed; those that a kernel has.</summary>
    internal static readonly ImmutableArray<string> ObservedVariables = ["vmalloc_base", "module_load_offset", "execmem_info"];

    private KernelImage(KernelInspection inspection)
    {
        Elf = inspection.Elf!;
        Relocations = inspection.Relocations!;
        Symbols = inspection.Symbols!;
        Geometry = inspection.Geometry!;
        ModuleOffset = inspection.Patch!.ModuleOffset;
        Facts = Collect(inspection);
        Prepared = new PreparedKernel(inspection.TakeUnpacked(), Elf, Relocations, Facts);
    }

    /// <summary>The unpacked kernel's headers.</summary>
    public ElfImage Elf { get; }

    /// <summary>Where the kernel must be changed when it moves.</summary>
    public RelocationTable Relocations { get; }

    /// <summary>The kernel's own symbol table, at link addresses.</summary>
    public Kallsyms Symbols { get; }

    /// <summary>What the layout must know of it.</summary>
    public KernelGeometry Geometry { get; }

    /// <summary>What making a bootable image needs to know of it.</summary>
    public KernelFacts Facts { get; }

    /// <summary>What bootable images are made of; lives as long as this image.</summary>
    public PreparedKernel Prepared { get; }

    /// <summary>The release, such as <c>6.1.0-56-cloud-amd64</c>; empty where the image does not say.</summary>
    public string Release => Facts.Release;

    /// <summary>Reads, unpacks and understands a kernel file.</summary>
    /// <exception cref="KaslrMtException">KMT20xx to KMT25xx, naming the file; nothing is left allocated.</exception>
    public static KernelImage Open(string path)
    {
        KernelInspection inspection = KernelInspection.Of(path);
        return From(inspection, problem => KernelInspection.InFile(path, problem));
    }

    /// <summary>Unpacks and understands a kernel.</summary>
    /// <param name="file">The kernel file's bytes; not kept.</param>
    /// <exception cref="KaslrMtException">KMT20xx to KMT25xx; nothing is left allocated.</exception>
    public static KernelImage Read(ReadOnlySpan<byte> file) => From(KernelInspection.Of(file), problem => problem);

    /// <inheritdoc cref="PreparedKernel.WriteBootImage"/>
    public void WriteBootImage(KernelLayout layout, string path, PhysicalRange? overwritten = null, ModuleAddresses modules = ModuleAddresses.ByOrder) =>
        Prepared.WriteBootImage(layout, path, overwritten, modules);

    /// <summary>Where its text has what the host always changes: the draw of the module offset; null where the kernel has none.</summary>
    public ModuleOffsetSite? ModuleOffset { get; }

    /// <summary>Moves the unpacked kernel, in place, to where its <c>_text</c> is <paramref name="kernelVirtual"/>: <see cref="Bytes"/> are then a running kernel's.</summary>
    /// <param name="kernelVirtual">The run-time address of <c>_text</c>.</param>
    public void MoveTo(VirtualAddress kernelVirtual) => Prepared.MoveTo(kernelVirtual);

    /// <summary>The image's bytes, as moved last; valid until it is moved again or disposed of.</summary>
    /// <param name="linkAddress">The first byte's link address, wherever the kernel has been moved.</param>
    /// <param name="length">How many; 0 or more.</param>
    /// <returns>Empty when not all of them lie in one segment's bytes.</returns>
    public ReadOnlySpan<byte> Bytes(VirtualAddress linkAddress, int length) => Prepared.Bytes(linkAddress, length);

    /// <summary>The link address of a byte of the boot image, as the offsets in <see cref="Facts"/> count them.</summary>
    /// <returns>Null when it lies in no segment of the kernel's.</returns>
    public VirtualAddress? LinkAddressOf(long offsetInImage)
    {
        Func<int, long> inImage = BootImageFile.OffsetInImage(Elf);
        foreach (ElfSegment load in Elf.Loads)
        {
            long skipped = load.FileEnd > load.FileOffset ? offsetInImage - inImage((int)load.FileOffset) : -1;
            if (skipped >= 0 && skipped < load.FileEnd - load.FileOffset)
            {
                return new VirtualAddress(load.PhysicalAddress.Value + ElfImage.StartKernelMap + (ulong)skipped);
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose() => Prepared.Dispose();

    private static KernelImage From(KernelInspection inspection, Func<KaslrMtException, KaslrMtException> name)
    {
        if (inspection.Problem is KaslrMtException problem)
        {
            inspection.Dispose();
            throw name(problem);
        }

        return new KernelImage(inspection);
    }

    private static KernelFacts Collect(KernelInspection inspection)
    {
        KernelGeometry geometry = inspection.Geometry!;
        ElfImage elf = inspection.Elf!;
        (ModuleNamePatch? names, string? problem) = FindModuleNames(inspection);
        return new KernelFacts
        {
            Release = inspection.Release,
            LinkBase = geometry.LinkBase.Value,
            ImageSize = geometry.ImageSize,
            Alignment = geometry.Alignment,
            LinkPhysical = geometry.PreferredPhysical.Value,
            Entry = elf.Entry.Value,
            SetupHeader = inspection.SetupHeader,
            Segments = [.. elf.Loads.Select(load => new KernelFacts.Segment(load.PhysicalAddress.Value, load.FileSize, load.MemorySize))],
            Patch = inspection.Patch!.In(BootImageFile.OffsetInImage(elf)),
            ModuleNames = names,
            ModuleNamesProblem = problem,
            Variables = ObservedVariables
                .Select(name => (name, addresses: inspection.Symbols!.All(name).Select(symbol => symbol.Address.Value).ToImmutableArray()))
                .Where(variable => !variable.addresses.IsEmpty)
                .ToImmutableSortedDictionary(variable => variable.name, variable => variable.addresses, StringComparer.Ordinal),
        };
    }

    // Most VMs do without it, so a kernel that it is not known for is no error here.
    private static (ModuleNamePatch? Patch, string? Problem) FindModuleNames(KernelInspection inspection)
    {
        try
        {
            return (ModuleNamePatch.Locate(inspection.File, inspection.Elf!, inspection.Symbols!).In(BootImageFile.OffsetInImage(inspection.Elf!)), null);
        }
        catch (KaslrMtException error)
        {
            return (null, error.Problem);
        }
    }
}
