using System.Buffers;

namespace KaslrMt.Guests;

/// <summary>The fingerprints of all pages of a guest's RAM.</summary>
public sealed class PageFingerprints
{
    // Read in pieces that stay in the second-level cache until they are hashed.
    private const int BlockBytes = 256 << 10;

    private readonly PageFingerprint[] _pages;

    private PageFingerprints(PageFrames frames, PageFingerprint[] pages)
    {
        Frames = frames;
        _pages = pages;
    }

    /// <summary>How the pages are numbered.</summary>
    public PageFrames Frames { get; }

    /// <summary>The fingerprint of each page, by its number.</summary>
    public ReadOnlySpan<PageFingerprint> Pages => _pages;

    /// <summary>Reads all RAM once.</summary>
    /// <exception cref="KaslrMtException">KMT5022; KMT50xx when the guest goes away.</exception>
    public static PageFingerprints Read(IGuestMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        var frames = new PageFrames(memory.Ranges);
        var pages = new PageFingerprint[frames.Count];
        PageFingerprint zero = PageFingerprint.Zero;
        byte[] block = ArrayPool<byte>.Shared.Rent(BlockBytes);
        try
        {
            int page = 0;
            foreach (PageFrames.Run run in frames.Runs)
            {
                for (ulong done = 0; done < run.Count;)
                {
                    int count = (int)Math.Min(run.Count - done, BlockBytes / PageCensus.PageSize);
                    Span<byte> bytes = block.AsSpan(0, count * PageCensus.PageSize);
                    memory.Read(frames.AddressOf(page), bytes);
                    for (int at = 0; at < bytes.Length; at += PageCensus.PageSize)
                    {
                        // Most of a guest's RAM was never written. Looking for the first byte that is not zero costs nothing on other pages.
                        ReadOnlySpan<byte> content = bytes.Slice(at, PageCensus.PageSize);
                        pages[page++] = content.ContainsAnyExcept((byte)0) ? PageHash.Of(content) : zero;
                    }

                    done += (ulong)count;
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }

        return new PageFingerprints(frames, pages);
    }
}
