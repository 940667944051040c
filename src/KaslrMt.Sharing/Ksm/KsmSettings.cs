using System.Collections.Immutable;
using System.Globalization;

namespace KaslrMt.Sharing;

/// <summary>KSM's settings, by the names of their files. A kernel that lacks one lacks it here.</summary>
/// <param name="Values">File and value, in the order in which they are written: <c>run</c> last, because some are refused while it is 1.</param>
public sealed record KsmSettings(ImmutableArray<KeyValuePair<string, string>> Values)
{
    /// <summary>Whether and how KSM runs: 0 stopped, 1 running, 2 all merged pages taken apart.</summary>
    public const string Run = "run";

    /// <summary>Pages looked at between two naps.</summary>
    public const string PagesToScan = "pages_to_scan";

    /// <summary>Milliseconds of each nap.</summary>
    public const string SleepMilliseconds = "sleep_millisecs";

    /// <summary><c>none</c> or <c>scan-time</c> (6.8 on): the kernel sets <see cref="PagesToScan"/> itself.</summary>
    public const string AdvisorMode = "advisor_mode";

    /// <summary>Seconds that the advisor aims at for one look through all memory.</summary>
    public const string AdvisorTarget = "advisor_target_scan_time";

    /// <summary>1: pages that had no equal for long are passed over (6.7 on).</summary>
    public const string SmartScan = "smart_scan";

    /// <summary>1: zero pages become the kernel's zero page.</summary>
    public const string UseZeroPages = "use_zero_pages";

    // advisor_mode before pages_to_scan: under the advisor that file is refused. merge_across_nodes and max_page_sharing are left alone: the kernel
    // takes them only after everything merged was taken apart.
    private static readonly ImmutableArray<string> Files =
        [AdvisorMode, "advisor_max_cpu", "advisor_min_pages_to_scan", "advisor_max_pages_to_scan", AdvisorTarget, PagesToScan, SleepMilliseconds, SmartScan, UseZeroPages, Run];

    /// <summary>The value of a setting; null when the kernel has none of that name, or it is left as it is.</summary>
    public string? this[string file] => Values.FirstOrDefault(pair => pair.Key == file).Value;

    /// <summary>Reads the settings as they are.</summary>
    /// <exception cref="KaslrMtException">KMT6013.</exception>
    public static KsmSettings Read(KsmFolder ksm)
    {
        ArgumentNullException.ThrowIfNull(ksm);
        return new KsmSettings([.. Files.Select(file => KeyValuePair.Create(file, ksm.Word(file))).Where(pair => pair.Value is not null)!]);
    }

    /// <summary>Settings that look through memory at a given rate, without the advisor.</summary>
    /// <param name="bytesPerSecond">The rate; what the processor does not achieve is simply slower.</param>
    public static KsmSettings AtRate(long bytesPerSecond)
    {
        const int Nap = 20;
        const long PageSize = 4096;
        long pages = Math.Clamp(bytesPerSecond / PageSize * Nap / 1000, 1, 1_000_000);
        return new KsmSettings(
        [
            new(AdvisorMode, "none"),
            new(PagesToScan, pages.ToString(CultureInfo.InvariantCulture)),
            new(SleepMilliseconds, Nap.ToString(CultureInfo.InvariantCulture)),
            new(UseZeroPages, "1"),
            new(Run, "1"),
        ]);
    }

    /// <summary>Settings under which the kernel chooses the rate itself, so that all memory is looked through in a given time (6.8 on).</summary>
    /// <param name="target">That time.</param>
    public static KsmSettings WithAdvisor(TimeSpan target) => new(
    [
        new(AdvisorMode, "scan-time"),
        new(AdvisorTarget, ((long)Math.Ceiling(target.TotalSeconds)).ToString(CultureInfo.InvariantCulture)),
        new(SmartScan, "1"),
        new(UseZeroPages, "1"),
        new(Run, "1"),
    ]);

    /// <summary>Writes the settings that this kernel has and that differ.</summary>
    /// <exception cref="KaslrMtException">KMT6012, KMT6013: those before it are written.</exception>
    public void ApplyTo(KsmFolder ksm)
    {
        ArgumentNullException.ThrowIfNull(ksm);
        foreach ((string file, string value) in Values.OrderBy(pair => Files.IndexOf(pair.Key)))
        {
            // The advisor keeps pages_to_scan for itself and refuses it.
            bool kept = file == PagesToScan && ksm.Word(AdvisorMode) is string mode && mode != "none";
            if (!kept && ksm.Word(file) is string now && now != value)
            {
                ksm.Write(file, value);
            }
        }
    }
}
