using System.Buffers.Binary;
using System.Diagnostics;

namespace KaslrMt.Kernels.Tests.Symbols;

/// <summary>The real kernels of the kernels folder, as the flat memory that a loaded kernel is.</summary>
internal static class TestKernels
{
    /// <summary>The link address of the lowest segment of Debian's kernels (CONFIG_PHYSICAL_START, 16 MiB).</summary>
    public static readonly VirtualAddress LinkBase = new(0xffff_ffff_8100_0000);

    /// <summary>The kernels that every machine has.</summary>
    public static readonly string[] Always = ["6.1-cloud", "6.12-cloud"];

    private static string Folder =>
        Environment.GetEnvironmentVariable("KASLRMT_KERNELS") is { Length: > 0 } folder
            ? folder
            : Path.Combine(
                Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache
                    ? cache
                    : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
                "kaslrmt",
                "kernels");

    /// <summary>Names of all kernels in the folder.</summary>
    public static IEnumerable<string> Names() =>
        Always.Union(Directory.EnumerateDirectories(Folder)
            .Where(kernel => File.Exists(Path.Combine(kernel, "vmlinuz")))
            .Select(kernel => Path.GetFileName(kernel)))
            .Order(StringComparer.Ordinal);

    /// <summary>The kernel's segments laid out by physical address, the lowest at 0.</summary>
    public static byte[] Flat(string name)
    {
        byte[] elf = Unpack(File.ReadAllBytes(Path.Combine(Folder, name, "vmlinuz")));
        int headers = (int)BinaryPrimitives.ReadInt64LittleEndian(elf.AsSpan(32));
        int count = BinaryPrimitives.ReadUInt16LittleEndian(elf.AsSpan(56));
        var segments = Enumerable.Range(0, count)
            .Select(i => elf.AsSpan(headers + (i * 56), 56).ToArray())
            .Where(header => BinaryPrimitives.ReadInt32LittleEndian(header) == 1)
            .Select(header => (
                Offset: BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(8)),
                Physical: BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(24)),
                FileSize: BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32)),
                MemorySize: BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(40))))
            .ToList();
        long lowest = segments.Min(segment => segment.Physical);
        var flat = new byte[segments.Max(segment => segment.Physical + segment.MemorySize) - lowest];
        foreach (var segment in segments)
        {
            elf.AsSpan((int)segment.Offset, (int)segment.FileSize).CopyTo(flat.AsSpan((int)(segment.Physical - lowest)));
        }

        return flat;
    }

    private static byte[] Unpack(byte[] image)
    {
        int setup = image[0x1f1] == 0 ? 4 : image[0x1f1];
        int start = ((setup + 1) * 512) + BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(0x248));
        int length = BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(0x24c));
        (string tool, string options) = image[start] switch
        {
            0x02 => ("lz4", "-dc"),
            0x28 => ("zstd", "-dc"),
            0xfd => ("xz", "-dc --single-stream"),
            byte other => throw new InvalidOperationException($"A payload that begins with 0x{other:x2} is not expected here."),
        };

        // The last four bytes are the unpacked size, not part of the stream.
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(file, image.AsSpan(start, length - sizeof(int)));
            using Process process = Process.Start(new ProcessStartInfo(tool, $"{options} {file}") { RedirectStandardOutput = true })!;
            using MemoryStream unpacked = new(BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(start + length - sizeof(int))));
            process.StandardOutput.BaseStream.CopyTo(unpacked);
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
            return unpacked.ToArray();
        }
        finally
        {
            File.Delete(file);
        }
    }
}
