using System.Text;
using KaslrMt.Layout;

namespace KaslrMt.Kernels;

/// <summary>A kernel file, unpacked and understood layer by layer, as far as it goes.</summary>
/// <remarks>
/// Takes a bzImage, or an ELF vmlinux with its relocation table behind it or linked with <c>--emit-relocs</c>. Holds the unpacked image in
/// memory outside the heap (50 to 60 MB for Debian's kernels) until disposed. Whatever the bytes are, the outcome is a value: what is
/// not understood is null, and <see cref="Problem"/> says why.
/// </remarks>
public sealed class KernelInspection : IDisposable
{
    private const uint DefaultAlignment = 2 << 20;

    private static readonly VirtualAddress ModulesStart = new(0xffffffffc0000000);

    private NativeBuffer? _unpacked;

    private KernelInspection()
    {
    }

    /// <summary>The first thing that is wrong or not supported; null for a kernel that can be given a layout.</summary>
    public KaslrMtException? Problem { get; private set; }

    /// <summary>The setup header; null for a bare vmlinux.</summary>
    public BzImage? Setup { get; private set; }

    /// <summary>The setup header's bytes from 0x1f1 on; empty for a bare vmlinux.</summary>
    public byte[] SetupHeader { get; private set; } = [];

    /// <summary>How the payload is packed; null for a bare vmlinux.</summary>
    public PayloadFormat? Format { get; private set; }

    /// <summary>The unpacked image's size in bytes, relocation table included.</summary>
    public int? UnpackedSize => _unpacked?.Length;

    /// <summary>The unpacked kernel's headers.</summary>
    public ElfImage? Elf { get; private set; }

    /// <summary>What the layout must know of it.</summary>
    public KernelGeometry? Geometry { get; private set; }

    /// <summary>Where the kernel must be changed when it moves.</summary>
    public RelocationTable? Relocations { get; private set; }

    /// <summary>The kernel's own symbol table.</summary>
    public Kallsyms? Symbols { get; private set; }

    /// <summary>Where it takes its regions from.</summary>
    public BootPatch? Patch { get; private set; }

    /// <summary>The release, such as <c>6.1.0-56-cloud-amd64</c>; empty where the image does not say.</summary>
    public string Release { get; private set; } = "";

    /// <summary>The unpacked image as linked.</summary>
    internal Span<byte> File => _unpacked is null ? [] : _unpacked.Span;

    /// <summary>Inspects a kernel file.</summary>
    /// <exception cref="KaslrMtException">KMT2007, KMT2008: the file cannot be read at all. What is in it never throws.</exception>
    public static KernelInspection Of(string path)
    {
        try
        {
            using NativeBuffer file = KernelFile.Read(path);
            return Of(file.Span);
        }
        catch (KaslrMtException error)
        {
            throw InFile(path, error);
        }
    }

    /// <summary>Inspects a kernel.</summary>
    /// <param name="file">The kernel file's bytes; not kept.</param>
    public static KernelInspection Of(ReadOnlySpan<byte> file)
    {
        var found = new KernelInspection();
        try
        {
            found.Unpack(file);
            found.Understand();
        }
        catch (KaslrMtException problem)
        {
            found.Problem = problem;
        }
        catch
        {
            found.Dispose();
            throw;
        }

        return found;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _unpacked?.Dispose();
        _unpacked = null;
    }

    /// <summary>Hands the unpacked image over to the caller, who disposes of it: this inspection no longer has it.</summary>
    internal NativeBuffer TakeUnpacked()
    {
        NativeBuffer unpacked = _unpacked ?? throw new InvalidOperationException("Nothing was unpacked, or it was taken already.");
        _unpacked = null;
        return unpacked;
    }

    /// <summary>The same error, naming the file it came from.</summary>
    internal static KaslrMtException InFile(string path, KaslrMtException error) => new(error.Code, $"{path}: {error.Problem}", error.Remedy, error);

    private void Unpack(ReadOnlySpan<byte> file)
    {
        if (file.StartsWith("\u007fELF"u8))
        {
            _unpacked = new NativeBuffer(file.Length);
            file.CopyTo(_unpacked.Span);
            return;
        }

        Setup = BzImage.Read(file);
        Release = Setup.Version.Split(' ')[0];
        SetupHeader = file[BzImage.HeaderStart..Setup.HeaderEnd].ToArray();
        ReadOnlySpan<byte> payload = file.Slice(Setup.PayloadOffset, Setup.PayloadLength);
        Format = Payload.Identify(payload);
        _unpacked = Payload.Decompress(payload);
    }

    private void Understand()
    {
        ReadOnlySpan<byte> file = File;
        Elf = ElfImage.Read(file);
        Geometry = ReadGeometry(file.Length, Elf, Setup);
        Release = Release.Length > 0 ? Release : ReadRelease(file, Elf);
        Relocations = ReadRelocations(file, Elf);

        // kallsyms lies in read-only data, which shares the first segment with the text.
        ElfSegment text = Elf.Loads[0];
        Symbols = Kallsyms.Copy(file.Slice(text.FileOffset, text.FileSize), text.VirtualAddress);
        Patch = BootPatch.Locate(file, Elf, Symbols);
    }

    /// <summary>Takes the table behind the ELF, or makes it from <c>.rela</c> sections.</summary>
    /// <exception cref="KaslrMtException">KMT23xx; KMT2306 too when stripping left <c>.rela</c> sections that move nothing (6.12's vmlinux).</exception>
    internal static RelocationTable ReadRelocations(ReadOnlySpan<byte> file, ElfImage elf)
    {
        if (file.Length > elf.FileEnd)
        {
            return RelocationTable.Read(file, elf);
        }

        RelocationTable made = RelocationTable.FromRelaSections(file, elf);
        return !made.Add64.IsEmpty ? made : throw new KaslrMtException(
            KernelErrors.NoRelaSections,
            "kernel ELF: its .rela sections hold no 64-bit relocation, and every kernel that can move has thousands: they were stripped",
            "give the bzImage, the build's vmlinux.unstripped, or the vmlinux with its vmlinux.relocs appended");
    }

    private static KernelGeometry ReadGeometry(int unpackedSize, ElfImage elf, BzImage? setup)
    {
        ElfSegment text = elf.Loads[0];
        if (text.VirtualAddress.Value != unchecked(text.PhysicalAddress.Value + ElfImage.StartKernelMap))
        {
            throw Unmovable(
                $"the lowest segment is linked at {text.VirtualAddress} and loaded at {text.PhysicalAddress}, expected a distance of 0xffffffff80000000");
        }

        if (!elf.Loads.Any(load => elf.Entry >= load.PhysicalAddress && elf.Entry < load.PhysicalAddress + (ulong)load.FileSize))
        {
            throw Unmovable($"the entry point {elf.Entry} lies in no segment");
        }

        if (setup?.PreferredAddress is PhysicalAddress preferred && preferred != text.PhysicalAddress)
        {
            throw Unmovable($"pref_address says {preferred}, the unpacked kernel starts at {text.PhysicalAddress}");
        }

        // What the stock decompressor reserves: the larger of what it unpacks and what the kernel occupies (misc.c, extract_kernel).
        // A bare vmlinux with symbols and debug sections is larger than any decompressor's output; only its memory counts.
        ulong size = setup is null ? (ulong)elf.Span : Math.Max((ulong)unpackedSize, (ulong)elf.Span);
        return new KernelGeometry(text.VirtualAddress, size, setup?.KernelAlignment ?? DefaultAlignment, text.PhysicalAddress, ModulesStart);
    }

    private static KaslrMtException Unmovable(string problem) =>
        new(KernelErrors.PatchGeometry, problem, "this is not an x86-64 Linux kernel, or it is corrupt: fetch it again");

    private static string ReadRelease(ReadOnlySpan<byte> file, ElfImage elf)
    {
        ElfSegment text = elf.Loads[0];
        ReadOnlySpan<byte> bytes = file.Slice(text.FileOffset, text.FileSize);
        ReadOnlySpan<byte> mark = "Linux version "u8;
        int at = bytes.IndexOf(mark);
        if (at < 0)
        {
            return "";
        }

        bytes = bytes[(at + mark.Length)..];
        bytes = bytes[..Math.Min(64, bytes.Length)];
        int end = bytes.IndexOf((byte)' ');
        bytes = end < 0 ? [] : bytes[..end];
        return bytes.IndexOfAnyExceptInRange((byte)0x21, (byte)0x7e) < 0 ? Encoding.ASCII.GetString(bytes) : "";
    }
}
