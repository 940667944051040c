using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Kernels;

/// <summary>A file that appears whole or not at all: written under a temporary name in the same folder, synced, then renamed.</summary>
/// <remarks>Mode 0600 from the first byte: what the project writes holds layouts. Disposing without <see cref="Commit"/> removes it.</remarks>
public sealed class WholeFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporary;
    private readonly SafeFileHandle _handle;
    private bool _committed;

    private WholeFile(string path, string temporary, SafeFileHandle handle)
    {
        _path = path;
        _temporary = temporary;
        _handle = handle;
    }

    /// <summary>Where the file lies until it is committed.</summary>
    internal string TemporaryPath => _temporary;

    /// <summary>Starts an empty file.</summary>
    /// <param name="path">Where it will be. Its folder must exist.</param>
    /// <exception cref="KaslrMtException">KMT2601 when the folder is missing or not writable.</exception>
    public static WholeFile Create(string path) => Start(path, sourceStays: true, temporary =>
    {
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            BufferSize = 0,
        };
        new FileStream(temporary, options).Dispose();
    });

    /// <summary>Starts the file as a copy of another, which the kernel makes (copy_file_range); it keeps the source's mode.</summary>
    /// <exception cref="FileNotFoundException">The source is gone.</exception>
    /// <exception cref="KaslrMtException">KMT2601 when the folder is missing or not writable, or the disk is full.</exception>
    internal static WholeFile CreateFrom(string source, string path) => Start(path, sourceStays: false, temporary => File.Copy(source, temporary));

    private static WholeFile Start(string path, bool sourceStays, Action<string> create)
    {
        string full = path.Length == 0 ? "/" : Path.GetFullPath(path);
        string temporary = Path.Combine(Path.GetDirectoryName(full) ?? "/", $".{Path.GetFileName(full)}.{Path.GetRandomFileName()}");
        try
        {
            if (RegularFile.Fault(path) is string fault)
            {
                throw new IOException(fault);
            }

            create(temporary);
            return new WholeFile(full, temporary, File.OpenHandle(temporary, FileMode.Open, FileAccess.ReadWrite));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            if (error is FileNotFoundException && !sourceStays)
            {
                throw;
            }

            if (File.Exists(temporary))
            {
                File.Delete(temporary);
            }

            throw new KaslrMtException(FileErrors.NotWritable, $"{path} cannot be written: {Reason(error)}", "choose a folder that exists and is yours", error);
        }
    }

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
    public void Commit()
    {
        try
        {
            RandomAccess.FlushToDisk(_handle);
            File.Move(_temporary, _path, overwrite: true);
            _committed = true;
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
        if (!_committed)
        {
            File.Delete(_temporary);
        }
    }

    private KaslrMtException Failed(Exception error) =>
        new(FileErrors.WriteFailed, $"{_path} could not be written whole: {Reason(error)}", "nothing was left behind; free some space and run again", error);

    // .NET's messages name the temporary path; the reader needs the reason alone.
    private static string Reason(Exception error) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException => "no such folder",
        UnauthorizedAccessException => "permission denied",
        _ when error.HResult == 28 || error.Message.StartsWith("No space left", StringComparison.Ordinal) => "no space left on the device",
        _ => error.Message.Split(" : ")[0],
    };
}
