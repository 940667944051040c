using System.Buffers.Binary;
using System.Security.Cryptography;

namespace KaslrMt.Hypervisors;

/// <summary>The gate as a file for <c>-kernel</c>: a PVH ELF of three pages, the same for every VM, host and boot of one version. It holds no secret.</summary>
public static class GateFile
{
    /// <summary>The version of the gate that this program writes.</summary>
    public const int Version = 1;

    private const int PageSize = 4096;
    private const int ElfHeaderSize = 64;
    private const int ProgramHeaderSize = 56;
    private const int NoteOffset = ElfHeaderSize + (2 * ProgramHeaderSize);
    private const int NoteSize = 24;

    // What QEMU loads, and loads again at every reset: the code, and a mailbox in which nobody waits.
    private const int LoadedSize = 2 * PageSize;

    private static readonly Lazy<byte[]> File = new(Build);

    /// <summary>Gets the file's bytes.</summary>
    public static ReadOnlyMemory<byte> Bytes => File.Value;

    /// <summary>Gets the SHA-256 of the file, in hexadecimal.</summary>
    public static string Digest => Convert.ToHexStringLower(SHA256.HashData(File.Value));

    /// <summary>Gets the page of code that a VM with this gate has at <see cref="GateProtocol.Code"/>.</summary>
    internal static ReadOnlySpan<byte> Code => File.Value.AsSpan(PageSize, PageSize);

    /// <summary>Writes the file: whole or not at all, readable by everybody.</summary>
    /// <exception cref="KaslrMtException">It cannot be written.</exception>
    public static void Write(string path)
    {
        using WholeFile output = WholeFile.Create(path);
        output.OpenToReaders();
        output.Write(Bytes.Span, 0);
        output.Commit();
    }

    private static byte[] Build()
    {
        var file = new byte[PageSize + LoadedSize];
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(16), 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(18), 62); // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(20), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(24), GateProtocol.Code);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(32), ElfHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(52), ElfHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(54), ProgramHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(56), 2);
        WriteProgramHeader(file.AsSpan(ElfHeaderSize), type: 1, flags: 7, PageSize, GateProtocol.Code, LoadedSize, PageSize);
        WriteProgramHeader(file.AsSpan(ElfHeaderSize + ProgramHeaderSize), type: 4, flags: 4, NoteOffset, 0, NoteSize, 4);

        // XEN_ELFNOTE_PHYS32_ENTRY.
        Span<byte> note = file.AsSpan(NoteOffset, NoteSize);
        BinaryPrimitives.WriteUInt32LittleEndian(note, 4);
        BinaryPrimitives.WriteUInt32LittleEndian(note[4..], 8);
        BinaryPrimitives.WriteUInt32LittleEndian(note[8..], 18);
        "Xen\0"u8.CopyTo(note[12..]);
        BinaryPrimitives.WriteUInt64LittleEndian(note[16..], GateProtocol.Code);

        GateCode.Build().CopyTo(file, PageSize);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(2 * PageSize), GateProtocol.Magic);
        return file;
    }

    private static void WriteProgramHeader(Span<byte> header, uint type, uint flags, ulong offset, ulong address, ulong size, ulong alignment)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], flags);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], offset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], size);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], size);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], alignment);
    }
}
