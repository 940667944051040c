using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Kernels;

/// <summary>Prepared kernels on disk, under the SHA-256 of the file they were made of: one for each kernel, whoever boots it.</summary>
/// <remarks>
/// <para>No entry holds a secret: it follows from the kernel file alone, as linked. (That a kernel is found here tells that somebody on this host has booted it.)
/// The folder is this user's alone all the same, for what is in it is booted. What is read is checked as if it came from a worker.</para>
/// <para>Bounded: the entries that were used least recently go first. The loss of an entry costs time only. An entry belongs to the build of this program
/// that made it: another build never meets it.</para>
/// </remarks>
public sealed class PreparedKernelCache
{
    /// <summary>The default bound in bytes: about sixteen of Debian's kernels.</summary>
    public const long DefaultLimit = 1L << 30;

    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const string Suffix = ".kernel";
    private const int DigestLength = 64;

    private static readonly string Build = typeof(PreparedKernelCache).Module.ModuleVersionId.ToString("N", CultureInfo.InvariantCulture)[..16];

    private readonly string _folder;
    private readonly long _limit;

    private PreparedKernelCache(string folder, long limit)
    {
        _folder = folder;
        _limit = limit;
    }

    /// <summary>Gets how many bytes the entries take.</summary>
    public long Size => Entries().Sum(entry => entry.Length);

    /// <summary>Opens the cache, creating its folder if needed.</summary>
    /// <param name="folder">The folder; those above it are made, too.</param>
    /// <param name="limit">The most that all entries may take, in bytes.</param>
    /// <exception cref="KaslrMtException">KMT2603 when it is a link, another user's, or not of mode 0700; KMT2601 when it cannot be made.</exception>
    public static PreparedKernelCache Open(string folder, long limit = DefaultLimit)
    {
        try
        {
            Directory.CreateDirectory(folder, Private);
            if (!PrivateFolder.IsAt(folder))
            {
                throw new KaslrMtException(
                    CoreErrors.CacheNotPrivate, $"the cache of prepared kernels {folder} is a link, another user's, or open to others", "remove it, chmod it to 0700, or give --no-cache");
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(CoreErrors.NotWritable, $"the cache of prepared kernels {folder} cannot be made", "give --no-cache", error);
        }

        return new PreparedKernelCache(folder, limit);
    }

    /// <summary>Reads a kernel; null when it is not in the cache.</summary>
    /// <param name="digest">The SHA-256 of its file, in hexadecimal.</param>
    /// <exception cref="KaslrMtException">KMT1003: there is no memory for it.</exception>
    public PreparedKernel? Find(string digest)
    {
        string path = PathOf(digest);
        try
        {
            using SafeFileHandle file = File.OpenHandle(path);
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow);
            return PreparedKernel.Read(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
        catch (KaslrMtException damaged) when (damaged.Code != CoreErrors.OutOfMemory)
        {
            // The kernel is read anew, and the entry replaced.
            File.Delete(path);
            return null;
        }
    }

    /// <summary>Adds a kernel. Failing to is no error: the next use prepares it again.</summary>
    /// <param name="digest">The SHA-256 of its file, in hexadecimal.</param>
    /// <param name="kernel">The kernel; it is moved back to where it was linked for.</param>
    public void Add(string digest, PreparedKernel kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        try
        {
            using WholeFile entry = WholeFile.Create(PathOf(digest));
            kernel.WriteTo(entry.Handle);
            if (MakeRoom(entry.Length))
            {
                entry.Commit();
            }
        }
        catch (Exception error) when (error is KaslrMtException or IOException or UnauthorizedAccessException)
        {
            // A full or read-only file system: run without a cache.
        }
    }

    /// <summary>Removes all entries.</summary>
    public void Clear()
    {
        foreach (FileInfo entry in Entries())
        {
            entry.Delete();
        }
    }

    private string PathOf(string digest)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(digest.Length, DigestLength);
        return Path.Combine(_folder, $"{digest}.{Build}{Suffix}");
    }

    private bool MakeRoom(long size)
    {
        // The entry is on the disk already, without a name: it must leave the host as much again.
        if (size > _limit || size > new DriveInfo(_folder).AvailableFreeSpace)
        {
            return false;
        }

        long total = Size;
        foreach (FileInfo oldest in Entries().OrderBy(entry => entry.LastWriteTimeUtc))
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

    private FileInfo[] Entries() => new DirectoryInfo(_folder).GetFiles("*" + Suffix);
}
