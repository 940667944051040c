using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Guests;

/// <summary>A guest's RAM in a file: a raw image of it, the backing file of a running guest, or an ELF core.</summary>
/// <remarks>It is read and never mapped: a file that shrinks below a mapping would end this process.</remarks>
public sealed class MemoryFile : IGuestMemory
{
    private readonly SafeFileHandle _file;
    private readonly string _path;
    private readonly Segment[] _segments;

    internal MemoryFile(SafeFileHandle file, string path, IEnumerable<Segment> segments, ulong missing, KernelHints hints)
    {
        _file = file;
        _path = path;
        _segments = [.. segments];
        Ranges = Merge(_segments);
        Missing = missing;
        Hints = hints;
    }

    /// <inheritdoc/>
    public IReadOnlyList<PhysicalRange> Ranges { get; }

    /// <summary>Bytes of the guest's RAM that the file should hold and does not, being cut short.</summary>
    public ulong Missing { get; }

    /// <summary>What the file says about the guest's kernel.</summary>
    public KernelHints Hints { get; }

    /// <inheritdoc/>
    public void Read(PhysicalAddress address, Span<byte> destination)
    {
        if (!TryRead(address, destination))
        {
            throw new KaslrMtException(GuestErrors.NotRam, $"{destination.Length} bytes at {address} are not all guest RAM");
        }
    }

    /// <inheritdoc/>
    public bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        ulong wanted = (ulong)destination.Length;
        if (!Ranges.Any(range => range.Contains(address, wanted)))
        {
            return false;
        }

        foreach (Segment segment in _segments)
        {
            if (!destination.IsEmpty && segment.Range.Contains(address))
            {
                ulong skipped = address - segment.Range.Start;
                int length = (int)Math.Min((ulong)destination.Length, segment.Range.Length - skipped);
                ReadFile(segment.Offset + (long)skipped, destination[..length]);
                destination = destination[length..];
                address += (ulong)length;
            }
        }

        return true;
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>Opens a file for reading.</summary>
    /// <exception cref="KaslrMtException"><see cref="GuestErrors.DumpUnreadable"/>.</exception>
    internal static SafeFileHandle OpenFile(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new KaslrMtException(GuestErrors.DumpUnreadable, $"{path} cannot be opened", "check the path and its permissions", error);
        }
    }

    /// <summary>Reads as much as there is, at most the whole of <paramref name="destination"/>.</summary>
    /// <exception cref="KaslrMtException"><see cref="GuestErrors.DumpUnreadable"/>.</exception>
    internal static int ReadSome(SafeFileHandle file, string path, long offset, Span<byte> destination)
    {
        try
        {
            int done = 0;
            while (done < destination.Length && RandomAccess.Read(file, destination[done..], offset + done) is > 0 and int read)
            {
                done += read;
            }

            return done;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new KaslrMtException(GuestErrors.DumpUnreadable, $"{path} cannot be read at 0x{offset:x}", inner: error);
        }
    }

    private static List<PhysicalRange> Merge(Segment[] segments)
    {
        List<PhysicalRange> merged = [];
        foreach (PhysicalRange range in segments.Select(segment => segment.Range))
        {
            if (merged.Count > 0 && merged[^1].End == range.Start)
            {
                merged[^1] = merged[^1] with { Length = merged[^1].Length + range.Length };
            }
            else
            {
                merged.Add(range);
            }
        }

        return merged;
    }

    private void ReadFile(long offset, Span<byte> destination)
    {
        int read = ReadSome(_file, _path, offset, destination);
        if (read < destination.Length)
        {
            throw new KaslrMtException(GuestErrors.DumpInvalid, $"{_path} ends at 0x{offset + read:x}: it has been cut while it was read", "give a file that nobody writes");
        }
    }

    /// <summary>A run of RAM and where in the file it is.</summary>
    internal readonly record struct Segment(PhysicalRange Range, long Offset);
}
