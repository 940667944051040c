using KaslrMt.Guests;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments.Modules;

/// <summary>What one boot left in memory: its modules in the order in which they were loaded, and what their pages hold.</summary>
internal sealed record ModuleBoot
{
    // What a damaged guest may claim; the largest of Debian's modules has 3 MiB.
    private const ulong MostText = 64 << 20;

    /// <summary>Seconds until the guest had settled.</summary>
    public required double BootSeconds { get; init; }

    /// <summary>The modules in load order, each with its text's address.</summary>
    public required IReadOnlyList<ModuleReport.BootedModule> Modules { get; init; }

    /// <summary>The pages of each module's own text, by its name.</summary>
    public required IReadOnlyDictionary<string, PageFingerprint[]> Text { get; init; }

    /// <summary>Each page of module code: modules' text, and what else is executable there (BPF programs and the room kept for them).</summary>
    public required PageFingerprint[] Code { get; init; }

    /// <summary>Each page of module data.</summary>
    public required PageFingerprint[] Data { get; init; }

    /// <summary>How many page tables there were, processes' too.</summary>
    public required int PageTables { get; init; }

    /// <summary>Reads a guest, which stands still meanwhile.</summary>
    /// <exception cref="KaslrMtException">KMT50xx; errors of the monitor.</exception>
    public static async Task<ModuleBoot> ReadAsync(ExperimentGuest guest, CancellationToken cancellationToken)
    {
        await guest.PauseAsync(cancellationToken).ConfigureAwait(false);
        GuestKernel kernel = await guest.OpenKernelAsync(cancellationToken).ConfigureAwait(false);
        GuestModules modules = GuestModules.Read(kernel);
        GuestPages pages = GuestPages.Read(guest.Name, null, kernel);
        return new ModuleBoot
        {
            BootSeconds = Math.Round(guest.BootTime.TotalSeconds, 2),
            Modules = [.. modules.InLoadOrder.Where(module => module.Address is not null).Select(module => new ModuleReport.BootedModule(module.Name, module.Address!.Value.ToString()))],
            Text = modules.InLoadOrder.GroupBy(module => module.Name).ToDictionary(same => same.Key, same => TextOf(kernel, same.First())),
            Code = Of(pages, PageClass.ModuleCode),
            Data = Of(pages, PageClass.ModuleData),
            PageTables = pages.Classes.Count(PageClass.PageTable),
        };
    }

    private static PageFingerprint[] TextOf(GuestKernel kernel, GuestModule module)
    {
        var page = new byte[PageCensus.PageSize];
        List<PageFingerprint> found = [];
        foreach (ModuleArea area in module.Areas.Where(area => area.Section == ModuleSection.Text && area.Size <= MostText))
        {
            for (ulong at = 0; at < area.Size; at += PageCensus.PageSize)
            {
                if (kernel.TryRead(area.Address + at, page))
                {
                    found.Add(PageFingerprint.Of(page));
                }
            }
        }

        return [.. found];
    }

    private static PageFingerprint[] Of(GuestPages pages, PageClass wanted)
    {
        List<PageFingerprint> found = [];
        for (int page = 0; page < pages.Classes.Length; page++)
        {
            if (pages.Classes[page] == wanted)
            {
                found.Add(pages.Fingerprints[page]);
            }
        }

        return [.. found];
    }
}
