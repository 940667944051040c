using System.Buffers.Binary;
using System.Diagnostics;

namespace KaslrMt.Kernels.Tests;

/// <summary>The real kernels that tests read: each one's payload, unpacked by the reference tool of its format.</summary>
internal static class UnpackedKernel
{
    /// <summary>The names of all kernels in the folder; the two that must be there come first.</summary>
    internal static IReadOnlyList<string> Names { get; } =
        [.. Required.Union(Directory.GetDirectories(Folder)
            .Where(folder => File.Exists(Path.Combine(folder, "vmlinuz")))
            .Select(folder => Path.GetFileName(folder)!)
            .Order(StringComparer.Ordinal))];

    internal static string[] Required => ["6.1-cloud", "6.12-cloud"];

    private static string Folder =>
        Environment.GetEnvironmentVariable("KASLRMT_KERNELS")
        ?? Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "kaslrmt",
            "kernels");

    /// <summary>The ELF and the relocation table behind it.</summary>
    internal static byte[] Read(string name)
    {
        byte[] file = File.ReadAllBytes(Path.Combine(Folder, name, "vmlinuz"));
        int setupSectors = file[0x1f1] == 0 ? 4 : file[0x1f1];
        int offset = ((setupSectors + 1) * 512) + BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(0x248));
        ReadOnlyMemory<byte> payload = file.AsMemory(offset, BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(0x24c)));
        int size = BinaryPrimitives.ReadInt32LittleEndian(payload.Span[^4..]);
        string tool = payload.Span[0] switch
        {
            0x02 => "lz4",
            0x28 => "zstd",
            0xfd => "xz",
            0x1f => "gzip",
            _ => throw new NotSupportedException($"{name}: a payload that begins with 0x{payload.Span[0]:x2}"),
        };
        return Run(tool, payload[..^4], size);
    }

    private static byte[] Run(string tool, ReadOnlyMemory<byte> input, int size)
    {
        using Process process = Process.Start(
            new ProcessStartInfo(tool, "-dc") { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        Task feed = Task.Run(() =>
        {
            using Stream stdin = process.StandardInput.BaseStream;
            stdin.Write(input.Span);
        });
        byte[] output = new byte[size];
        process.StandardOutput.BaseStream.ReadExactly(output);
        Assert.Equal(-1, process.StandardOutput.BaseStream.ReadByte());
        feed.Wait();
        process.WaitForExit();
        return output;
    }
}
