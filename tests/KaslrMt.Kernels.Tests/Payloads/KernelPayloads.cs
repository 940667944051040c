using System.Buffers.Binary;

namespace KaslrMt.Kernels.Tests.Payloads;

/// <summary>The payloads of the real kernels in the test folder, cut out by the two header fields alone.</summary>
internal static class KernelPayloads
{
    internal static string Folder =>
        Environment.GetEnvironmentVariable("KASLRMT_KERNELS")
        ?? Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME")
                ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "kaslrmt",
            "kernels");

    internal static IReadOnlyList<string> Names =>
        [.. Directory.EnumerateDirectories(Folder)
            .Where(folder => File.Exists(Path.Combine(folder, "vmlinuz")))
            .Select(folder => Path.GetFileName(folder))
            .Order(StringComparer.Ordinal)];

    internal static byte[] Read(string name)
    {
        byte[] image = File.ReadAllBytes(Path.Combine(Folder, name, "vmlinuz"));
        int setupSectors = image[0x1f1] == 0 ? 4 : image[0x1f1];
        int offset = ((setupSectors + 1) * 512) + BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(0x248));
        return image.AsSpan(offset, BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(0x24c))).ToArray();
    }
}
