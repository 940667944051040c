using System.Buffers;

namespace KaslrMt.Guests;

/// <summary>The fingerprints of all pages of a guest's RAM.</summary>
public sealed class PageFingerprints
{
    // Read in pieces that stay in the second-level cache until they are hashed.
    private const int BlockBytes = 256 << 10;

    // Memory, not the processors, is the limit beyond that.
    private const int MostWorkers = 8;

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

    /// <summary>Reads all RAM that was ever written once, on several processors; the rest is zeros.</summary>
    /// <exception cref="KaslrMtException">KMT5022; KMT50xx when the guest goes away.</exception>
    public static PageFingerprints Read(IGuestMemory memory)
    {
        ArgumentNullException.ThrowIfNull(memory);
        return Read(memory, BlockBytes, Math.Min(Environment.ProcessorCount, MostWorkers));
    }

    /// <summary>Reads all RAM that was ever written once.</summary>
    /// <param name="memory">The guest's RAM.</param>
    /// <param name="blockBytes">Bytes of a read, whole pages.</param>
    /// <param name="workers">How many threads share the work.</param>
    internal static PageFingerprints Read(IGuestMemory memory, int blockBytes, int workers)
    {
        var frames = new PageFrames(memory.Ranges);
        var pages = new PageFingerprint[frames.Count];
        pages.AsSpan().Fill(PageFingerprint.Zero);
        int blockPages = blockBytes / PageCensus.PageSize;
        foreach ((int index, int end) in memory.FindWritten().SelectMany(frames.Within))
        {
            Share(workers, ((long)(end - index) + blockPages - 1) / blockPages, blockBytes, (block, buffer) =>
            {
                int first = index + (int)(block * blockPages);
                int count = Math.Min(end - first, blockPages);
                Span<byte> bytes = buffer.AsSpan(0, count * PageCensus.PageSize);
                memory.Read(frames.AddressOf(first), bytes);
                Fingerprint(bytes, pages.AsSpan(first, count));
            });
        }

        return new PageFingerprints(frames, pages);
    }

    private static void Fingerprint(ReadOnlySpan<byte> bytes, Span<PageFingerprint> pages)
    {
        PageFingerprint zero = PageFingerprint.Zero;
        foreach (ref PageFingerprint page in pages)
        {
            // Most of a guest's RAM was never written. Looking for the first byte that is not zero costs nothing on other pages.
            ReadOnlySpan<byte> content = bytes[..PageCensus.PageSize];
            page = content.ContainsAnyExcept((byte)0) ? PageFingerprint.Of(content) : zero;
            bytes = bytes[PageCensus.PageSize..];
        }
    }

    private static void Share(int workers, long blocks, int blockBytes, Action<long, byte[]> work)
    {
        long next = -1;
        void Work()
        {
            byte[] buffer = ArrayPool<byte>.Shared.Rent(blockBytes);
            try
            {
                for (long block = Interlocked.Increment(ref next); block < blocks; block = Interlocked.Increment(ref next))
                {
                    work(block, buffer);
                }
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }

        Task[] others = [.. Enumerable.Range(1, Math.Max(workers, 1) - 1).Select(_ => Task.Run(Work))];
        try
        {
            Work();
        }
        finally
        {
            // An error here ends the others soon: their blocks are handed out no more.
            Interlocked.Exchange(ref next, blocks);
            Task.WhenAll(others).GetAwaiter().GetResult();
        }
    }
}
