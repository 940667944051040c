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

    internal override AuditOutcome Run(AuditSubject subject)
    {
        if (subject.Secrets is not { Count: > 0 } secrets)
        {
            return NotDone("the tenant key is not known; give it with --tenant-key-file");
        }

        var search = new SecretSearch(secrets);
        int overlap = (search.Longest + sizeof(ulong) - 1) & ~(sizeof(ulong) - 1);
        var block = new byte[BlockSize + overlap];
        SortedDictionary<(ulong Address, int Trace), int> found = [];
        ulong searched = 0;
        foreach (PhysicalRange range in subject.Memory.Ranges)
        {
            for (ulong at = 0; at < range.Length && found.Count <= MostFindings; at += BlockSize)
            {
                Span<byte> part = block.AsSpan(0, (int)Math.Min((ulong)block.Length, range.Length - at));
                PhysicalAddress start = range.Start + at;
                subject.Memory.Read(start, part);

                // What begins in the overlap is found again, whole, in the next block.
                search.In(part, (trace, offset, length) => found[(start.Value + (ulong)offset, trace)] = Math.Max(length, found.GetValueOrDefault((start.Value + (ulong)offset, trace))));
                searched += Math.Min(BlockSize, range.Length - at);
            }
        }

        block.AsSpan().Clear();
        return Found([.. found.Select(find => Describe(secrets, find.Key.Address, find.Key.Trace, find.Value))],
            string.Create(CultureInfo.InvariantCulture, $"{searched >> 20} MiB of RAM"));
    }

    private AuditFinding Describe(SecretTraces secrets, ulong address, int trace, int length)
    {
        var page = new PhysicalAddress(address & ~(PageSize - 1UL));
        string part = length == secrets.Reveal(trace).Length ? "all" : "part";
        return Finding(AuditSeverity.Leak, $"page {page}", string.Create(
            CultureInfo.InvariantCulture, $"{part} of {secrets.NameOf(trace)} ({length} of {secrets.Reveal(trace).Length} bytes) lies at offset 0x{address % PageSize:x}"));
    }
}
