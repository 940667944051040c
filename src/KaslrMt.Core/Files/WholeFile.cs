using Microsoft.Win32.SafeHandles;

namespace KaslrMt;

/// <summary>A file that appears whole or not at all: written without a name, synced, then named in one step.</summary>
/// <remarks>
/// Mode 0600 from the first byte: what the project writes holds layouts. Until <see cref="Commit"/> the file has no name, so whatever ends the
/// process leaves nothing behind. Where the file system knows no unnamed files, a hidden temporary name in the same folder serves.
/// </remarks>
public sealed class WholeFile : IDisposable
{
    private readonly string _path;
    private readonly SafeFileHandle _handle;
    private string? _temporary;

    private WholeFile(string path, string? temporary, SafeFileHandle handle)
    {
        _path = path;
        _temporary = temporary;
        _handle = handle;
    }

    /// <summary>Starts an empty file.</summary>
    /// <param name="path">Where it will be. Its folder must exist.</param>
    /// <exception cref="KaslrMtException">KMT2601 when the folder is missing or not writable.</exception>
    public static WholeFile Create(string path)
    {
        string full = path.Length == 0 ? "/" : Path.GetFullPath(path);
        string folder = Path.GetDirectoryName(full) ?? "/";
        try
        {
            if ((RegularFile.Fault(path) ?? LinkFault(full)) is string fault)
            {
                throw new IOException(fault);
            }

            if (UnnamedFile.Open(folder) is SafeFileHandle unnamed)
            {
                return new WholeFile(full, null, unnamed);
            }

            string temporary = TemporaryIn(folder, full);
            var options = new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                BufferSize = 0,
            };
            new FileStream(temporary, options).Dispose();
            return new WholeFile(full, temporary, File.OpenHandle(temporary, FileMode.Open, FileAccess.ReadWrite));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(CoreErrors.NotWritable, $"{path} cannot be written: {Reason(error)}", "choose a folder that exists and is yours", error);
        }
    }

    /// <summary>Gets the open file, for writers that need one. It stays this object's.</summary>
    public SafeFileHandle Handle => _handle;

    /// <summary>Lets everybody read the file: for one that holds no secret.</summary>
    public void OpenToReaders() =>
        File.SetUnixFileMode(_handle, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);

    /// <summary>Writes bytes at an offset.</summary>
    /// <exception cref="KaslrMtException">KMT2602 when the disk is full or fails.</exception>
    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        try
        {
            RandomAccess.Write(_handle, bytes, offset);
        }
        catch (IOException error)
        {
            throw Failed(error);
        }
    }

    /// <summary>Makes the file durable and gives it its name, replacing a file of that name in one step.</summary>
    /// <exception cref="KaslrMtException">KMT2602 when the disk is full or fails.</exception>
    public void Commit() => TryCommit(replace: true);

    /// <summary>As <see cref="Commit"/>, but never replaces anything.</summary>
    /// <returns>False when the name is taken: then nothing was done.</returns>
    /// <exception cref="KaslrMtException">KMT2602 when the disk is full or fails.</exception>
    public bool TryCommitNew() => TryCommit(replace: false);

    private bool TryCommit(bool replace)
    {
        try
        {
            RandomAccess.FlushToDisk(_handle);
            bool linked = (_temporary is null || !replace) && UnnamedFile.TryLink(_handle, _path);
            if (linked || !replace)
            {
                return linked;
            }

            // linkat(2) does not replace: to do that in one step takes a second name for a moment.
            if (_temporary is null)
            {
                string temporary = TemporaryIn(Path.GetDirectoryName(_path) ?? "/", _path);
                UnnamedFile.TryLink(_handle, temporary);
                _temporary = temporary;
            }

            File.Move(_temporary, _path, overwrite: true);
            _temporary = null;
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Failed(error);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _handle.Dispose();
        if (_temporary is not null)
        {
            File.Delete(_temporary);
        }
    }

    /// <summary>Fills the file, still empty, with another's bytes.</summary>
    /// <exception cref="KaslrMtException">KMT2602 when the disk is full or fails.</exception>
    internal void CopyFrom(SafeFileHandle source)
    {
        long length = RandomAccess.GetLength(source);
        if (UnnamedFile.TryCopy(source, _handle, length))
        {
            return;
        }

        var block = new byte[1 << 20];
        for (long done = 0; done < length;)
        {
            int read = RandomAccess.Read(source, block, done);
            if (read == 0)
            {
                throw Failed(new IOException("the source became shorter"));
            }

            Write(block.AsSpan(0, read), done);
            done += read;
        }
    }

    /// <summary>Fills another file, still empty, with this one's bytes.</summary>
    /// <exception cref="KaslrMtException">KMT2602 when the disk is full or fails.</exception>
    internal void CopyTo(WholeFile target)
    {
        using SafeFileHandle source = File.OpenHandle(_temporary ?? UnnamedFile.PathOf(_handle));
        target.CopyFrom(source);
    }

    /// <summary>The bytes written so far.</summary>
    internal long Length => RandomAccess.GetLength(_handle);

    // /dev/stdout is a link to /proc/self/fd/1, behind which there may be a regular file: replacing a file by its name would take the link from the
    // host for good, and leave the file as it was.
    private static string? LinkFault(string full) => new FileInfo(full).LinkTarget is string target
        && (target.StartsWith("/proc/", StringComparison.Ordinal) || full.LastIndexOf('/') == "/dev".Length && full.StartsWith("/dev/", StringComparison.Ordinal))
            ? "it stands for an open file"
            : null;

    private static string TemporaryIn(string folder, string path) => Path.Combine(folder, $".{Path.GetFileName(path)}.{Path.GetRandomFileName()}");

    private KaslrMtException Failed(Exception error) =>
        new(CoreErrors.WriteFailed, $"{_path} could not be written whole: {Reason(error)}", "nothing was left behind; free some space and run again", error);

    // .NET's messages name the temporary path; the reader needs the reason alone.
    private static string Reason(Exception error) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException => "no such folder",
        UnauthorizedAccessException => "permission denied",
        _ when error.HResult == 28 || error.Message.StartsWith("No space left", StringComparison.Ordinal) => "no space left on the device",
        _ => error.Message.Split(" : ")[0],
    };
}
