using KaslrMt.Guests;
using KaslrMt.Sharing;

namespace KaslrMt.Cli.Experiments.Modules;

/// <summary>What one boot left in memory: its modules in the order in which they were loaded, and what their pages hold.</summary>
internal sealed record ModuleBoot
{
    private ModuleBoot(TimeSpan bootTime, IReadOnlyList<ModuleReport.BootedModule> modules, PageFingerprint[] code, PageFingerprint[] data, int pageTables)
    {
        BootTime = bootTime;
        Modules = modules;
        Code = code;
        Data = data;
        PageTables = pageTables;
    }

    /// <summary>Until the guest had settled.</summary>
    public TimeSpan BootTime { get; }

    /// <summary>The modules in load order, each with its text's address.</summary>
    public IReadOnlyList<ModuleReport.BootedModule> Modules { get; }

    /// <summary>Each page of module code.</summary>
    public PageFingerprint[] Code { get; }

    /// <summary>Each page of module data.</summary>
    public PageFingerprint[] Data { get; }

    /// <summary>How many page tables there were, processes' too.</summary>
    public int PageTables { get; }

    /// <summary>Reads a guest, which stands still meanwhile.</summary>
    /// <exception cref="KaslrMtException">KMT50xx; errors of the monitor.</exception>
    public static async Task<ModuleBoot> ReadAsync(ExperimentGuest guest, CancellationToken stop)
    {
        await guest.PauseAsync(stop).ConfigureAwait(false);
        GuestKernel kernel = await guest.OpenKernelAsync(stop).ConfigureAwait(false);
        GuestModules modules = GuestModules.Read(kernel);
        GuestPages pages = GuestPages.Read(guest.Name, null, kernel);
        return new ModuleBoot(
            guest.BootTime,
            [.. modules.InLoadOrder.Where(module => module.Address is not null).Select(module => new ModuleReport.BootedModule(module.Name, module.Address!.Value.ToString()))],
            Of(pages, PageClass.ModuleCode),
            Of(pages, PageClass.ModuleData),
            pages.Classes.Count(PageClass.PageTable));
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
