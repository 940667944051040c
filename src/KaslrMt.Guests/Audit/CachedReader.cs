using System.Buffers.Binary;

namespace KaslrMt.Guests;

/// <summary>Reads a guest's structures page by page: the small objects of a list lie close together, and a page costs no more to read than a word.</summary>
/// <remarks>All that is read of one page is of one moment. Not for use by two threads at once.</remarks>
internal sealed class CachedReader(GuestKernel kernel)
{
    private const int PageSize = 4096;

    // 64 MiB; a guest's lists reach a fraction of it.
    private const int MostPages = 1 << 14;

    private readonly Dictionary<ulong, byte[]?> _pages = [];

    /// <summary>Reads kernel memory.</summary>
    /// <returns>False when not all of it is mapped to RAM.</returns>
    public bool TryRead(VirtualAddress address, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            if (Page(address.Value & ~(PageSize - 1UL)) is not { } page)
            {
                return false;
            }

            int skipped = (int)(address.Value % PageSize);
            int length = Math.Min(destination.Length, PageSize - skipped);
            page.AsSpan(skipped, length).CopyTo(destination);
            destination = destination[length..];
            address += (ulong)length;
        }

        return true;
    }

    /// <summary>Reads a word.</summary>
    /// <returns>Null when it is not mapped to RAM.</returns>
    public ulong? Word(VirtualAddress address)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        return TryRead(address, bytes) ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : null;
    }

    private byte[]? Page(ulong address)
    {
        if (!_pages.TryGetValue(address, out byte[]? page))
        {
            page = new byte[PageSize];
            page = kernel.TryRead(new VirtualAddress(address), page) ? page : null;
            if (_pages.Count >= MostPages)
            {
                _pages.Clear();
            }

            _pages[address] = page;
        }

        return page;
    }
}
