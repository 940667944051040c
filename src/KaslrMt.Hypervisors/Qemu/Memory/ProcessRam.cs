using System.Globalization;
using KaslrMt.Guests;

namespace KaslrMt.Hypervisors;

/// <summary>Finds a guest's RAM in the memory map of its QEMU, knowing how large it is.</summary>
internal static class ProcessRam
{
    private const ulong Alignment = 2UL << 20;

    // Video memory, ROMs: what QEMU may have put right below.
    private const ulong LargestNeighbour = 64UL << 20;

    /// <summary>Where in the process each run of RAM is.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.RamNotFound"/>, <see cref="GuestErrors.AccessDenied"/>.</exception>
    internal static IEnumerable<(PhysicalRange Range, ulong Host)> Locate(int processId, QemuCommandLine line) =>
        Locate(ReadMap(processId), line);

    /// <inheritdoc cref="Locate(int, QemuCommandLine)"/>
    internal static List<(PhysicalRange Range, ulong Host)> Locate(string map, QemuCommandLine line)
    {
        List<Area> areas = Parse(map);
        List<(ulong Host, ulong Size)> blocks = [];
        IReadOnlyList<QemuCommandLine.Backend> wanted = line.Backends.Count > 0 ? line.Backends : [new QemuCommandLine.Backend(line.Memory, null)];
        foreach (QemuCommandLine.Backend block in wanted)
        {
            blocks.Add((Find(areas, block), block.Size));
        }

        if (blocks.Select(block => block.Host).Distinct().Count() < blocks.Count)
        {
            throw NotFound("several memory backends look the same");
        }

        return Lay(blocks, line.Machine.Place(line.Memory));
    }

    /// <summary>The runs of private memory of a process in which a page is present or swapped out, in steps of 2 MiB. Shared memory counts as written.</summary>
    /// <param name="processId">The process.</param>
    /// <param name="range">Guest RAM.</param>
    /// <param name="host">Where in the process it begins.</param>
    internal static IEnumerable<PhysicalRange> Written(int processId, PhysicalRange range, ulong host)
    {
        Area[] areas = [.. Parse(ReadMap(processId)).Where(area => area.End > host && area.Start < host + range.Length)];
        return areas.Length > 0 && areas.All(area => area.Path.Length == 0 && area.Private) && ProcessPages.Open(processId) is { } pages
            ? pages.Written(range, host)
            : [range];
    }

    // RAM is the blocks one behind the other, cut where the machine has its hole below 4 GiB.
    private static List<(PhysicalRange Range, ulong Host)> Lay(List<(ulong Host, ulong Size)> blocks, IEnumerable<PhysicalRange> ranges)
    {
        List<(PhysicalRange Range, ulong Host)> runs = [];
        int block = 0;
        ulong used = 0;
        foreach (PhysicalRange range in ranges)
        {
            for (ulong done = 0; done < range.Length && block < blocks.Count;)
            {
                ulong length = Math.Min(range.Length - done, blocks[block].Size - used);
                runs.Add((new PhysicalRange(range.Start + done, length), blocks[block].Host + used));
                done += length;
                used += length;
                if (used == blocks[block].Size)
                {
                    block++;
                    used = 0;
                }
            }
        }

        return runs;
    }

    private static ulong Find(List<Area> areas, QemuCommandLine.Backend block)
    {
        bool Fits(Area area) => area.Writable && (block.File is null || area.Path.StartsWith(block.File, StringComparison.Ordinal));
        Area[] exact = [.. areas.Where(area => Fits(area) && area.Size == block.Size)];
        if (exact.Length == 0)
        {
            exact = [.. Joined(areas).Where(area => Fits(area) && area.Size == block.Size)];
        }

        if (exact.Length == 0 && block.File is null)
        {
            // The host joins neighbours: QEMU ends its block with a page that nobody may touch, and starts it at 2 MiB.
            Area[] joined = [.. Joined(areas)];
            exact = [.. joined.Where((area, i) =>
                Fits(area) && area.Size > block.Size && area.Size - block.Size <= LargestNeighbour && (area.End - block.Size) % Alignment == 0
                && i + 1 < joined.Length && joined[i + 1].Start == area.End && joined[i + 1].Untouchable)
                .Select(area => area with { Start = area.End - block.Size })];
        }

        return exact switch
        {
            [Area only] => only.Start,
            [] => throw NotFound($"the process has no memory of {new ByteSize(block.Size)}"),
            _ => throw NotFound($"the process has {exact.Length} pieces of memory of {new ByteSize(block.Size)}"),
        };
    }

    private static List<Area> Joined(List<Area> areas)
    {
        List<Area> joined = [];
        foreach (Area area in areas)
        {
            if (joined.Count > 0 && joined[^1] is var before && before.End == area.Start && before.Writable && area.Writable && before.Path == area.Path)
            {
                joined[^1] = before with { End = area.End };
            }
            else
            {
                joined.Add(area);
            }
        }

        return joined;
    }

    // proc(5): "7f12d3e00000-7f12f3e00000 rw-p 00000000 00:00 0                          /path"
    private static List<Area> Parse(string map)
    {
        List<Area> areas = [];
        foreach (string line in map.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] fields = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
            string[] bounds = fields[0].Split('-');
            if (fields.Length >= 5 && bounds.Length == 2
                && ulong.TryParse(bounds[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong start)
                && ulong.TryParse(bounds[1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong end) && start < end)
            {
                areas.Add(new Area(
                    start, end, fields[1].StartsWith("rw", StringComparison.Ordinal), fields[1].StartsWith("---", StringComparison.Ordinal), fields[1].EndsWith('p'), fields.Length > 5 ? fields[5].Trim() : ""));
            }
        }

        return areas;
    }

    private static string ReadMap(int processId)
    {
        try
        {
            return File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/maps"));
        }
        catch (UnauthorizedAccessException error)
        {
            throw new KaslrMtException(
                GuestErrors.AccessDenied,
                string.Create(CultureInfo.InvariantCulture, $"this user may not read the memory of QEMU process {processId}"),
                "run as the VM's owner or root",
                error);
        }
        catch (IOException error)
        {
            throw new KaslrMtException(
                GuestErrors.GuestGone, string.Create(CultureInfo.InvariantCulture, $"the guest (QEMU process {processId}) has exited"), inner: error);
        }
    }

    private static KaslrMtException NotFound(string problem) => new(
        HypervisorErrors.RamNotFound, $"the guest's RAM cannot be told from QEMU's other memory: {problem}", "give the QEMU's monitor with --qmp SOCKET");

    private readonly record struct Area(ulong Start, ulong End, bool Writable, bool Untouchable, bool Private, string Path)
    {
        public ulong Size => End - Start;
    }
}
