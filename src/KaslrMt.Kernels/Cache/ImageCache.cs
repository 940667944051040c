using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Kernels;

/// <summary>Prepared kernels on disk: what is known of a kernel file, and its relocated body for each virtual base in use.</summary>
/// <remarks>
/// <para>A body shows a tenant's virtual base, so the folder must be this user's alone (0700) and the files are 0600; it belongs on a
/// memory file system such as <c>/run</c>, so that layouts do not outlive the host's power. Entries are found by the kernel file's identity
/// (device, inode, size, times) and this program's build: a changed kernel or another version never meets an old entry.</para>
/// <para>Bounded: the least recently used bodies go first. Losing an entry at any moment costs time only.</para>
/// </remarks>
public sealed class ImageCache
{
    /// <summary>The default bound in bytes: about eight of Debian's kernels.</summary>
    public const long DefaultLimit = 512L << 20;

    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const string FactsSuffix = ".facts";
    private const string BodySuffix = ".body";
    private const int LargestFacts = 64 << 10;

    private readonly string _folder;
    private readonly long _limit;

    private ImageCache(string folder, long limit)
    {
        _folder = folder;
        _limit = limit;
    }

    /// <summary>Opens the cache, creating its folder if needed.</summary>
    /// <param name="folder">The folder; its parent must exist.</param>
    /// <param name="limit">The most that all entries may take, in bytes.</param>
    /// <exception cref="KaslrMtException">KMT2603 when it is a link, another user's, or not of mode 0700; KMT2601 when it cannot be made.</exception>
    public static ImageCache Open(string folder, long limit = DefaultLimit)
    {
        try
        {
            Directory.CreateDirectory(folder, Private);
            if (!PrivateFolder.IsAt(folder))
            {
                throw new KaslrMtException(
                    CoreErrors.CacheNotPrivate, $"the image cache {folder} is a link, another user's, or open to others", "remove it, chmod it to 0700, or give --no-cache");
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(CoreErrors.NotWritable, $"the image cache {folder} cannot be made", "give --no-cache", error);
        }

        return new ImageCache(folder, limit);
    }

    /// <summary>How many bytes the entries take.</summary>
    public long Size => Entries().Sum(entry => entry.Length);

    /// <summary>Removes all entries.</summary>
    public void Clear()
    {
        foreach (FileInfo entry in Entries())
        {
            entry.Delete();
        }
    }

    /// <summary>The name under which a kernel file's entries are kept; null where its identity is not known or may still change unseen.</summary>
    internal static string? NameOf(string kernelPath)
    {
        if (TryIdentify(kernelPath) is not { IsSettled: true } identity)
        {
            return null;
        }

        string build = typeof(ImageCache).Module.ModuleVersionId.ToString("N", CultureInfo.InvariantCulture);
        return Hash($"{build} {identity.Text}");
    }

    private static FileIdentity? TryIdentify(string path)
    {
        try
        {
            if (RegularFile.Fault(path) is not null)
            {
                return null;
            }

            using var handle = File.OpenHandle(path);
            return FileIdentity.Of(handle);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Whoever reads the kernel next says what is wrong with it.
            return null;
        }
    }

    /// <summary>What is known of a kernel; null when it is not in the cache.</summary>
    internal KernelFacts? FindFacts(string name)
    {
        try
        {
            var file = new FileInfo(Path.Combine(_folder, name + FactsSuffix));
            return file.Exists && file.Length <= LargestFacts
                ? JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), KernelFactsJson.Default.KernelFacts)
                : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            // Gone or damaged: the kernel is read anew, and the entry replaced.
            return null;
        }
    }

    /// <summary>Starts a file with the kernel's body at a virtual base; null when it is not in the cache.</summary>
    internal WholeFile? TryStartWithBody(string name, KernelFacts kernel, VirtualAddress virtualBase, string path)
    {
        string entry = BodyPath(name, virtualBase);
        long expected = BootImageFile.SegmentOffsets(kernel.Segments.Select(segment => segment.FileSize))[^1];
        if (!File.Exists(entry))
        {
            return null;
        }

        WholeFile started = WholeFile.Create(path);
        try
        {
            using SafeFileHandle body = File.OpenHandle(entry);
            if (RandomAccess.GetLength(body) == expected)
            {
                File.SetLastWriteTimeUtc(body, DateTime.UtcNow);
                started.CopyFrom(body);
                return started;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // Evicted by another process just now.
        }
        catch
        {
            started.Dispose();
            throw;
        }

        started.Dispose();
        return null;
    }

    /// <summary>Adds what was prepared. Failing to is no error: the next run prepares again.</summary>
    /// <param name="name">The kernel's name.</param>
    /// <param name="kernel">What is known of it.</param>
    /// <param name="virtualBase">The body's virtual base.</param>
    /// <param name="prepared">A file with the body in it, and no regions yet.</param>
    internal void Add(string name, KernelFacts kernel, VirtualAddress virtualBase, WholeFile prepared)
    {
        try
        {
            if (!MakeRoom(prepared.Length))
            {
                return;
            }

            using (WholeFile body = WholeFile.Create(BodyPath(name, virtualBase)))
            {
                prepared.CopyTo(body);
                body.Commit();
            }

            using WholeFile facts = WholeFile.Create(Path.Combine(_folder, name + FactsSuffix));
            facts.Write(JsonSerializer.SerializeToUtf8Bytes(kernel, KernelFactsJson.Default.KernelFacts), 0);
            facts.Commit();
        }
        catch (Exception error) when (error is KaslrMtException or IOException or UnauthorizedAccessException)
        {
            // A full or read-only file system: run without a cache.
        }
    }

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, 16));

    private string BodyPath(string name, VirtualAddress virtualBase) => Path.Combine(_folder, Hash($"{name} {virtualBase}") + BodySuffix);

    private bool MakeRoom(long size)
    {
        // Never the last half of what is free: on a memory file system that is the host's memory.
        if (size > _limit || size * 2 > new DriveInfo(_folder).AvailableFreeSpace)
        {
            return false;
        }

        long total = Size;
        foreach (FileInfo oldest in Entries().Where(entry => entry.Extension == BodySuffix).OrderBy(entry => entry.LastWriteTimeUtc))
        {
            if (total + size <= _limit)
            {
                break;
            }

            total -= oldest.Length;
            oldest.Delete();
        }

        return true;
    }

    private FileInfo[] Entries() => new DirectoryInfo(_folder).GetFiles();
}
