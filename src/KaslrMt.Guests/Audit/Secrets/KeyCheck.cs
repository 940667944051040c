using System.Globalization;
using KaslrMt.Layout;

namespace KaslrMt.Guests;

/// <summary>The tenant key, or what is derived from it, in the guest's memory, where none of it may ever be.</summary>
internal sealed class KeyCheck : AuditCheck
{
    private const int BlockSize = 1 << 20;
    private const int PageSize = 4096;

    public override string Name => "key";

    public override string Subject => "the tenant key or anything derived from it in the guest's memory";

    /// <inheritdoc/>
    public override bool NeedsSecrets => true;

    public override AuditOutcome Run(AuditSubject subject)
    {
        if (subject.Secrets is not { Count: > 0 } secrets)
        {
            return NotDone("the tenant key is not known; give it with --tenant-key-file");
        }

        SortedDictionary<(ulong Address, int Trace), int> found = [];
        ulong searched = Search(subject.Memory, new SecretSearch(secrets), (address, trace, length) =>
        {
            if (found.Count <= MostFindings)
            {
                found[(address.Value, trace)] = length;
            }
        });
        return Found([.. found.Select(find => Describe(secrets, find.Key.Address, find.Key.Trace, find.Value))],
            string.Create(CultureInfo.InvariantCulture, $"{searched >> 20} MiB of RAM"));
    }

    /// <summary>Searches all RAM.</summary>
    /// <param name="memory">The guest's RAM.</param>
    /// <param name="search">The secrets.</param>
    /// <param name="found">Told each find once: where it or its piece begins, which secret, how many bytes of it.</param>
    /// <returns>How many bytes were looked at.</returns>
    internal static ulong Search(IGuestMemory memory, SecretSearch search, Action<PhysicalAddress, int, int> found)
    {
        // What begins in one block may end in the next; what begins in the overlap is left to the next.
        int overlap = (search.Longest + sizeof(ulong) - 1) & ~(sizeof(ulong) - 1);
        var block = new byte[overlap + BlockSize + overlap];
        ulong searched = 0;
        foreach (PhysicalRange range in memory.Ranges)
        {
            for (ulong at = 0; at < range.Length; at += BlockSize)
            {
                // The bytes before are there only so that a piece that began among them is known for one.
                ulong before = Math.Min(at, (ulong)overlap);
                Span<byte> part = block.AsSpan(0, (int)Math.Min(before + BlockSize + (ulong)overlap, range.Length - at + before));
                PhysicalAddress start = range.Start + (at - before);
                memory.Read(start, part);
                search.In(part, (trace, offset, length) =>
                {
                    if ((ulong)offset >= before && (ulong)offset < before + BlockSize)
                    {
                        found(start + (ulong)offset, trace, length);
                    }
                });
                searched += Math.Min(BlockSize, range.Length - at);
            }
        }

        block.AsSpan().Clear();
        return searched;
    }

    private AuditFinding Describe(SecretTraces secrets, ulong address, int trace, int length)
    {
        var page = new PhysicalAddress(address & ~(PageSize - 1UL));
        string part = length == secrets.Reveal(trace).Length ? "all" : "part";
        return Finding(AuditSeverity.Leak, $"page {page}", string.Create(
            CultureInfo.InvariantCulture, $"{part} of {secrets.NameOf(trace)} ({length} of {secrets.Reveal(trace).Length} bytes) lies at offset 0x{address % PageSize:x}"));
    }
}
