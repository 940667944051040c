using KaslrMt.Layout;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Kernels;

/// <summary>What understanding a kernel file yields and relocation needs: the unpacked segments, the relocations, and the facts with the patch sites.</summary>
/// <remarks>
/// Every bootable image is made of one, whether the kernel file was understood in this process (<see cref="Open"/>) or in a worker
/// (<see cref="WriteTo"/> there, <see cref="Read(SafeFileHandle)"/> here). Holds no secret until it is moved. Not for use by two threads at once.
/// </remarks>
public sealed class PreparedKernel : IDisposable
{
    private readonly NativeBuffer _buffer;
    private ulong _slide;

    internal PreparedKernel(NativeBuffer buffer, ElfImage elf, RelocationTable relocations, KernelFacts facts)
    {
        _buffer = buffer;
        Elf = elf;
        Relocations = relocations;
        Facts = facts;
    }

    /// <summary>What making a bootable image needs to know of it.</summary>
    public KernelFacts Facts { get; }

    /// <summary>Where the kernel must be changed when it moves.</summary>
    public RelocationTable Relocations { get; }

    /// <summary>The headers; their file offsets are offsets in the buffer. One that was read from a worker names the loadable segments only.</summary>
    internal ElfImage Elf { get; }

    /// <summary>Reads, unpacks and understands a kernel file in this process.</summary>
    /// <exception cref="KaslrMtException">KMT20xx to KMT25xx, naming the file; nothing is left allocated.</exception>
    public static PreparedKernel Open(string path) => KernelImage.Open(path).Prepared;

    /// <summary>Reads and checks what <see cref="WriteTo"/> wrote, as hostile input: whatever the bytes are, no relocation and no patch leaves a segment.</summary>
    /// <param name="file">A regular file or memfd, read from its beginning; copied once, so that a later change does no harm.</param>
    /// <exception cref="KaslrMtException">KMT2801: which field; KMT12xx, KMT22xx, KMT23xx: a number that no kernel has.</exception>
    public static PreparedKernel Read(SafeFileHandle file)
    {
        ArgumentNullException.ThrowIfNull(file);
        long length = RandomAccess.GetLength(file);
        PreparedKernelFormat.RequireLength(length);
        return PreparedKernelReader.Read(KernelFile.ReadAll(file, (int)length));
    }

    /// <summary>Writes the kernel as linked; a moved one is moved back first.</summary>
    /// <param name="file">A regular file or memfd, written from its beginning.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="KaslrMtException">KMT2801: it is larger than a reader accepts.</exception>
    public void WriteTo(SafeFileHandle file)
    {
        MoveTo(new VirtualAddress(Facts.LinkBase));
        PreparedKernelFormat.Write(file, Elf, Relocations, Facts, _buffer.Span);
    }

    /// <summary>Moves the kernel, in place, to where its <c>_text</c> is <paramref name="kernelVirtual"/>.</summary>
    /// <param name="kernelVirtual">The run-time address of <c>_text</c>.</param>
    public void MoveTo(VirtualAddress kernelVirtual)
    {
        ulong slide = unchecked(kernelVirtual.Value - Facts.LinkBase);
        if (slide != _slide)
        {
            Relocations.Apply(_buffer.Span, unchecked(slide - _slide));
            _slide = slide;
        }
    }

    /// <summary>The kernel's bytes, as moved last; valid until it is moved again or disposed of.</summary>
    /// <param name="linkAddress">The first byte's link address, wherever the kernel has been moved.</param>
    /// <param name="length">How many; 0 or more.</param>
    /// <returns>Empty when not all of them lie in one segment's bytes.</returns>
    public ReadOnlySpan<byte> Bytes(VirtualAddress linkAddress, int length) =>
        Elf.TryGetFileOffset(linkAddress, length, out int offset) ? _buffer.Span.Slice(offset, length) : default;

    /// <summary>The bytes of one segment, as moved last; valid until the kernel is moved again or disposed of.</summary>
    internal ReadOnlySpan<byte> Bytes(int segment) => _buffer.Span.Slice(Elf.Loads[segment].FileOffset, Elf.Loads[segment].FileSize);

    /// <summary>Writes the bootable ELF for a layout: whole or not at all, mode 0600.</summary>
    /// <param name="layout">Where the regions lie, planned for this kernel's geometry.</param>
    /// <param name="path">The file to write.</param>
    /// <param name="overwritten">Memory that firmware writes to after the image is loaded, at most 2 MiB; null for none.</param>
    /// <param name="modules">How the kernel places modules.</param>
    /// <exception cref="KaslrMtException">KMT26xx when it cannot be written; KMT2507.</exception>
    public void WriteBootImage(KernelLayout layout, string path, PhysicalRange? overwritten = null, ModuleAddresses modules = ModuleAddresses.ByOrder)
    {
        ArgumentNullException.ThrowIfNull(layout);
        using WholeFile output = WholeFile.Create(path);
        WriteBody(layout, output);
        BootImageFile.WriteLayout(output, Facts, layout, overwritten, modules);
        output.Commit();
    }

    /// <inheritdoc/>
    public void Dispose() => _buffer.Dispose();

    /// <summary>Moves the kernel to the layout's virtual base and writes its segments. The regions are not in them yet.</summary>
    internal void WriteBody(KernelLayout layout, WholeFile output)
    {
        MoveTo(layout.KernelVirtual);
        BootImageFile.WriteBody(output, Elf, _buffer.Span);
    }
}
