using System.Buffers.Binary;
using System.Numerics;

namespace KaslrMt.Kernels;

/// <summary>The setup header of a bzImage: what of it the host needs to find, unpack and start the kernel.</summary>
/// <remarks>Source: <c>Documentation/arch/x86/boot.rst</c>. Offsets count from the start of the file; all numbers are little-endian.</remarks>
public sealed class BzImage
{
    private const int SetupSectionsOffset = 0x1f1;
    private const int BootFlagOffset = 0x1fe;
    private const int JumpDisplacementOffset = 0x201;
    private const int MagicOffset = 0x202;
    private const int VersionOffset = 0x206;
    private const int KernelVersionPointerOffset = 0x20e;
    private const int KernelAlignmentOffset = 0x230;
    private const int RelocatableOffset = 0x234;
    private const int ExtendedLoadFlagsOffset = 0x236;
    private const int CommandLineSizeOffset = 0x238;
    private const int PayloadOffsetOffset = 0x248;
    private const int PayloadLengthOffset = 0x24c;
    private const int PreferredAddressOffset = 0x258;
    private const int InitSizeOffset = 0x260;

    private const int SectorSize = 512;
    private const uint MagicHdrS = 0x53726448;
    private const ushort BootFlag = 0xaa55;
    private const ushort OldestProtocol = 0x0208;
    private const ushort PreferredAddressProtocol = 0x020a;
    private const ushort ExtendedLoadFlagsProtocol = 0x020c;
    private const ushort Kernel64Flag = 1;

    // struct boot_params ends the header's room at 0x290 (edd_mbr_sig_buffer); a longer header would overwrite it.
    private const int HeaderLimit = 0x290;

    private BzImage()
    {
    }

    /// <summary>The boot protocol as major × 256 + minor: 0x20f for 2.15.</summary>
    public ushort Protocol { get; private init; }

    /// <summary>Where the setup header starts in the file, and in the zero page: 0x1f1.</summary>
    public static int HeaderStart => SetupSectionsOffset;

    /// <summary>Where the setup header ends, exclusive; at most 0x290.</summary>
    public int HeaderEnd { get; private init; }

    /// <summary>Where the compressed payload starts in the file, in bytes.</summary>
    public int PayloadOffset { get; private init; }

    /// <summary>The length of the compressed payload with its size trailer, in bytes.</summary>
    public int PayloadLength { get; private init; }

    /// <summary>CONFIG_PHYSICAL_ALIGN in bytes: a power of two from 2 MiB to 16 MiB.</summary>
    public uint KernelAlignment { get; private init; }

    /// <summary>The physical address the kernel was linked for, or null where the protocol (below 2.10) does not say.</summary>
    public PhysicalAddress? PreferredAddress { get; private init; }

    /// <summary>The memory the stock boot needs from its load address on, in bytes; 0 where the protocol does not say.</summary>
    public uint InitSize { get; private init; }

    /// <summary>The longest command line without its terminator, in bytes.</summary>
    public uint CommandLineSize { get; private init; }

    /// <summary>The version string the setup code carries, such as <c>6.1.0-56-cloud-amd64 (…) #1 SMP …</c>; empty where there is none.</summary>
    public string Version { get; private init; } = "";

    /// <summary>Whether the file carries the mark of a bzImage, so that <see cref="Read"/>'s complaint is the right one to show.</summary>
    public static bool LooksLike(ReadOnlySpan<byte> file) =>
        file.Length >= MagicOffset + 4 && BinaryPrimitives.ReadUInt32LittleEndian(file[MagicOffset..]) == MagicHdrS;

    /// <summary>Reads and checks the setup header.</summary>
    /// <param name="file">The whole file.</param>
    /// <exception cref="KaslrMtException">KMT2001 to KMT2006: which field, at which offset, expected, found.</exception>
    public static BzImage Read(ReadOnlySpan<byte> file)
    {
        if (!LooksLike(file))
        {
            throw new KaslrMtException(KernelErrors.NotAKernel, "not a bzImage: no \"HdrS\" at offset 0x202", "give a bzImage (vmlinuz) or an ELF vmlinux");
        }

        if (file.Length < InitSizeOffset + 4)
        {
            throw Truncated(file, "setup header", InitSizeOffset + 4);
        }

        ushort bootFlag = U16(file, BootFlagOffset);
        if (bootFlag != BootFlag)
        {
            throw Bad("boot_flag", BootFlagOffset, "0xaa55", bootFlag);
        }

        ushort protocol = U16(file, VersionOffset);
        if (protocol < OldestProtocol)
        {
            throw new KaslrMtException(
                KernelErrors.ProtocolTooOld,
                $"boot protocol {protocol >> 8}.{protocol & 0xff:d2} at offset 0x206 is older than 2.08 and does not say where its payload is",
                "use a kernel of 2.6.26 or later");
        }

        int headerEnd = MagicOffset + file[JumpDisplacementOffset];
        if (headerEnd is < InitSizeOffset - 8 or > HeaderLimit)
        {
            throw Bad("jump", JumpDisplacementOffset, "a header that ends between 0x258 and 0x290", file[JumpDisplacementOffset]);
        }

        if (file[RelocatableOffset] == 0)
        {
            throw new KaslrMtException(
                KernelErrors.NotRelocatable,
                "relocatable_kernel at offset 0x234 is 0: this kernel runs at its link address only",
                "use a kernel built with CONFIG_RELOCATABLE=y");
        }

        ushort loadFlags = U16(file, ExtendedLoadFlagsOffset);
        if (protocol >= ExtendedLoadFlagsProtocol && (loadFlags & Kernel64Flag) == 0)
        {
            throw new KaslrMtException(KernelErrors.Not64Bit, $"xloadflags at offset 0x236 is 0x{loadFlags:x4}: not a 64-bit kernel", "use an amd64 kernel");
        }

        uint alignment = U32(file, KernelAlignmentOffset);
        if (!BitOperations.IsPow2(alignment) || alignment is < 0x200000 or > 0x1000000)
        {
            throw Bad("kernel_alignment", KernelAlignmentOffset, "a power of two from 2 MiB to 16 MiB", alignment);
        }

        bool hasPreferredAddress = protocol >= PreferredAddressProtocol;
        ulong preferred = BinaryPrimitives.ReadUInt64LittleEndian(file[PreferredAddressOffset..]);
        if (hasPreferredAddress && (preferred == 0 || preferred % alignment != 0 || preferred > 0x40000000))
        {
            throw Bad("pref_address", PreferredAddressOffset, "a multiple of kernel_alignment up to 1 GiB", preferred);
        }

        (int payloadOffset, int payloadLength) = LocatePayload(file);
        return new BzImage
        {
            Protocol = protocol,
            HeaderEnd = headerEnd,
            PayloadOffset = payloadOffset,
            PayloadLength = payloadLength,
            KernelAlignment = alignment,
            PreferredAddress = hasPreferredAddress ? new PhysicalAddress(preferred) : null,
            InitSize = hasPreferredAddress ? U32(file, InitSizeOffset) : 0,
            CommandLineSize = U32(file, CommandLineSizeOffset),
            Version = ReadVersion(file),
        };
    }

    private static (int Offset, int Length) LocatePayload(ReadOnlySpan<byte> file)
    {
        int setupSections = file[SetupSectionsOffset] == 0 ? 4 : file[SetupSectionsOffset];
        long protectedMode = (setupSections + 1L) * SectorSize;
        if (protectedMode >= file.Length)
        {
            throw Truncated(file, $"setup code of {setupSections} sectors", protectedMode);
        }

        long offset = protectedMode + U32(file, PayloadOffsetOffset);
        long length = U32(file, PayloadLengthOffset);
        if (length < 8)
        {
            throw Bad("payload_length", PayloadLengthOffset, "at least 8 bytes", (ulong)length);
        }

        if (offset + length > file.Length)
        {
            throw Truncated(file, $"payload of {length} bytes at offset 0x{offset:x}", offset + length);
        }

        return ((int)offset, (int)length);
    }

    private static string ReadVersion(ReadOnlySpan<byte> file)
    {
        int pointer = U16(file, KernelVersionPointerOffset);
        int start = pointer + SectorSize;
        if (pointer == 0 || start >= file.Length)
        {
            return "";
        }

        ReadOnlySpan<byte> text = file.Slice(start, Math.Min(256, file.Length - start));
        int end = text.IndexOf((byte)0);
        text = end < 0 ? text : text[..end];
        return text.IndexOfAnyExceptInRange((byte)0x20, (byte)0x7e) < 0 ? System.Text.Encoding.ASCII.GetString(text) : "";
    }

    private static ushort U16(ReadOnlySpan<byte> file, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(file[offset..]);

    private static uint U32(ReadOnlySpan<byte> file, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(file[offset..]);

    private static KaslrMtException Truncated(ReadOnlySpan<byte> file, string what, long needed) =>
        new(KernelErrors.Truncated, $"truncated bzImage: the {what} needs {needed} bytes, the file has {file.Length}", "fetch the kernel again");

    private static KaslrMtException Bad(string field, int offset, string expected, ulong found) =>
        new(KernelErrors.BadField, $"{field} at offset 0x{offset:x}: expected {expected}, found 0x{found:x}", "the image is corrupt: fetch the kernel again");
}
