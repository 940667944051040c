using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Guests;

/// <summary>Opens a file that holds RAM and nothing else: a memory backend's <c>mem-path</c>, or what the monitor's <c>pmemsave</c> wrote.</summary>
public static class RawMemoryFile
{
    private const ulong PageSize = 4096;
    private static ReadOnlySpan<byte> Elf => "\u007fELF"u8;

    /// <summary>Opens the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="place">Where RAM of that many bytes lies, ascending; the file holds one run behind the other.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="GuestErrors.DumpUnreadable"/>; <see cref="GuestErrors.DumpInvalid"/> for a file without a page; <see cref="GuestErrors.DumpUnsupported"/> for a dump.
    /// </exception>
    public static MemoryFile Open(string path, Func<ulong, IEnumerable<PhysicalRange>> place)
    {
        ArgumentNullException.ThrowIfNull(place);
        SafeFileHandle file = MemoryFile.OpenFile(path);
        try
        {
            ulong length = (ulong)Math.Max(0, RandomAccess.GetLength(file));
            ulong pages = length & ~(PageSize - 1);
            Span<byte> start = stackalloc byte[CoreFile.LongestMark];
            start = start[..MemoryFile.ReadSome(file, path, 0, start)];
            if (start.StartsWith(Elf))
            {
                throw new KaslrMtException(GuestErrors.DumpUnsupported, $"{path} is an ELF file, not raw RAM", "give it with --core");
            }

            CoreFile.RefuseCompressed(path, start);
            if (pages == 0)
            {
                throw new KaslrMtException(GuestErrors.DumpInvalid, $"{path} holds no page of RAM: {length} bytes", "give the file of a guest's whole memory");
            }

            List<MemoryFile.Segment> segments = [];
            ulong offset = 0;
            foreach (PhysicalRange range in place(pages))
            {
                segments.Add(new MemoryFile.Segment(range, (long)offset));
                offset += range.Length;
            }

            return new MemoryFile(file, path, segments, missing: 0, default);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
