using System.Collections.Immutable;
using KaslrMt.Guests;

namespace KaslrMt.Sharing;

/// <summary>How equal a class of pages is over all probes of a policy (the paper, section 5). Shares are 0 to 1.</summary>
/// <param name="Class">The class.</param>
/// <param name="Pages">A probe's pages of the class, on average.</param>
/// <param name="Zero">The share of them that hold zeros.</param>
/// <param name="ByContent">The share whose content every other probe has too, in the same class.</param>
/// <param name="ByPlace">The share whose content every other probe has at the same place in the region.</param>
public sealed record ClassEquality(PageClass Class, double Pages, double Zero, double ByContent, double ByPlace);

/// <summary>Compares the probes of one policy.</summary>
public static class ProbeComparison
{
    /// <summary>Compares.</summary>
    /// <param name="probes">Two at least.</param>
    /// <returns>The paper's six classes; shares are means over the probes. A class without pages in some probe has shares of 0.</returns>
    public static ImmutableArray<ClassEquality> Compare(IReadOnlyList<ProbePages> probes)
    {
        ArgumentNullException.ThrowIfNull(probes);
        ArgumentOutOfRangeException.ThrowIfLessThan(probes.Count, 2);
        return [.. SharingTable.KernelClasses.Select(pageClass => Compare(pageClass, probes))];
    }

    private static ClassEquality Compare(PageClass pageClass, IReadOnlyList<ProbePages> probes)
    {
        // In how many probes so far, all of them from the first on.
        Dictionary<PageFingerprint, int> contents = [];
        Dictionary<ulong, (PageFingerprint Page, int Probes)> places = [];
        for (int i = 0; i < probes.Count; i++)
        {
            foreach ((ulong place, PageFingerprint page) in PagesOf(probes[i], pageClass))
            {
                if (contents.GetValueOrDefault(page) == i)
                {
                    contents[page] = i + 1;
                }

                if (place != PageLocations.None && (i == 0 ? !places.ContainsKey(place) : places.TryGetValue(place, out var known) && known.Probes == i && known.Page == page))
                {
                    places[place] = (page, i + 1);
                }
            }
        }

        double pages = 0, zero = 0, byContent = 0, byPlace = 0;
        foreach (ProbePages probe in probes)
        {
            (ulong Place, PageFingerprint Page)[] own = [.. PagesOf(probe, pageClass)];
            double count = Math.Max(own.Length, 1);
            pages += own.Length;
            zero += own.Count(page => page.Page == PageFingerprint.Zero) / count;
            byContent += own.Count(page => contents.GetValueOrDefault(page.Page) == probes.Count) / count;
            byPlace += own.Count(page => places.TryGetValue(page.Place, out var known) && known.Probes == probes.Count && known.Page == page.Page) / count;
        }

        return new ClassEquality(pageClass, pages / probes.Count, zero / probes.Count, byContent / probes.Count, byPlace / probes.Count);
    }

    private static IEnumerable<(ulong Place, PageFingerprint Page)> PagesOf(ProbePages probe, PageClass pageClass)
    {
        for (int i = 0; i < probe.Count; i++)
        {
            if (probe.Classes[i] == pageClass)
            {
                yield return (probe.Places[i], probe.Fingerprints[i]);
            }
        }
    }
}
