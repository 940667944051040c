using System.Globalization;
using System.Text.RegularExpressions;

namespace KaslrMt.Hypervisors;

/// <summary>A run of guest RAM backed by one run of a QEMU memory block.</summary>
/// <param name="Range">Where the guest sees it.</param>
/// <param name="Block">QEMU's name for the block.</param>
/// <param name="Offset">Where in the block it begins, bytes.</param>
internal readonly record struct RamRun(PhysicalRange Range, string Block, ulong Offset);

/// <summary>Finds the guest's RAM in what QEMU's <c>info mtree -f</c> prints (<c>softmmu/memory.c</c>, mtree_print_flatview).</summary>
internal static partial class MemoryTree
{
    private const int MostRuns = 4096;

    /// <summary>The RAM of the address space the processors see, ascending, runs that go on in the same block joined.</summary>
    /// <param name="text">What the monitor printed.</param>
    /// <param name="backends">The names of memory backends that are RAM besides what lies at address 0: NUMA nodes', hot-plugged modules'.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.MemoryMap"/> when the text holds no such RAM or contradicts itself.</exception>
    internal static List<RamRun> Parse(string text, params IReadOnlyCollection<string> backends)
    {
        List<RamRun> runs = [];
        bool named = false, inside = false;
        foreach (string line in text.Split('\n').Select(line => line.TrimEnd('\r')))
        {
            if (line.StartsWith("FlatView", StringComparison.Ordinal))
            {
                named = inside = false;
            }

            named |= line.StartsWith(" AS \"memory\",", StringComparison.Ordinal);
            inside |= named && line.StartsWith(" Root memory region:", StringComparison.Ordinal);
            if (inside && Line().Match(line) is { Success: true } match)
            {
                Add(runs, match);
            }
        }

        // Video memory and the like are "ram" to QEMU too. The guest's RAM is what the block at address 0 belongs to, or a memory backend's.
        string? main = runs.FirstOrDefault(run => run.Range.Start.Value == 0).Block;
        if (main is null)
        {
            throw new KaslrMtException(HypervisorErrors.MemoryMap, "QEMU's memory map has no RAM at address 0");
        }

        return Join(runs.FindAll(run => run.Block == main || backends.Contains(NameOf(run.Block))));
    }

    // Machine types before 4.0 name a backend's block by its place in QEMU's object tree: /objects/ram0.
    private static string NameOf(string block) => block[(block.LastIndexOf('/') + 1)..];

    private static void Add(List<RamRun> runs, Match match)
    {
        ulong first = Hex(match.Groups["first"].ValueSpan);
        ulong last = Hex(match.Groups["last"].ValueSpan);
        ulong offset = match.Groups["offset"].Success ? Hex(match.Groups["offset"].ValueSpan) : 0;
        bool follows = runs.Count == 0 || first >= runs[^1].Range.End.Value;
        if (last < first || last == ulong.MaxValue || !follows || runs.Count == MostRuns)
        {
            throw new KaslrMtException(HypervisorErrors.MemoryMap, $"QEMU's memory map is not in order at 0x{first:x16}");
        }

        runs.Add(new RamRun(PhysicalRange.Between(first, last + 1), match.Groups["name"].Value, offset));
    }

    private static List<RamRun> Join(List<RamRun> runs)
    {
        List<RamRun> joined = [];
        foreach (RamRun run in runs)
        {
            if (joined.Count > 0 && joined[^1] is var before && before.Range.End == run.Range.Start
                && before.Offset + before.Range.Length == run.Offset)
            {
                joined[^1] = before with { Range = before.Range with { Length = before.Range.Length + run.Range.Length } };
            }
            else
            {
                joined.Add(run);
            }
        }

        return joined;
    }

    private static ulong Hex(ReadOnlySpan<char> digits) => ulong.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^  (?<first>[0-9a-f]{16})-(?<last>[0-9a-f]{16}) \(prio -?\d+, ram\): (?<name>[^ @]+)( @(?<offset>[0-9a-f]{16}))?( KVM)?$")]
    private static partial Regex Line();
}
