using KaslrMt.Guests;

namespace KaslrMt.Sharing;

/// <summary>What an experiment keeps of one guest's memory: of each page its class, its place and its fingerprint. No content, and no base.</summary>
/// <param name="Classes">The class of each page.</param>
/// <param name="Places">Where in its region it is mapped (<see cref="PageLocations"/>).</param>
/// <param name="Fingerprints">What it holds.</param>
public sealed record ProbePages(PageClass[] Classes, ulong[] Places, PageFingerprint[] Fingerprints)
{
    /// <summary>Pages.</summary>
    public int Count => Classes.Length;

    /// <summary>Reads the pages of the paper's six regions, with their places.</summary>
    /// <param name="kernel">The kernel of a guest that stands still.</param>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away or holds no kernel; KMT27xx.</exception>
    public static ProbePages ReadKernel(GuestKernel kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        PageMap map = PageMap.Classify(kernel, GuestModules.Read(kernel));
        ulong[] places = PageLocations.Read(kernel, map);
        PageFingerprints fingerprints = PageFingerprints.Read(kernel.Memory);
        int[] chosen = [.. Enumerable.Range(0, map.Frames.Count).Where(page => map.Pages[page] <= PageClass.Vmemmap)];
        return new ProbePages(
            [.. chosen.Select(page => map.Pages[page])],
            [.. chosen.Select(page => places[page])],
            [.. chosen.Select(page => fingerprints.Pages[page])]);
    }

    /// <summary>All pages of a guest that was read already, without places.</summary>
    public static ProbePages Of(GuestPages guest)
    {
        ArgumentNullException.ThrowIfNull(guest);
        var places = new ulong[guest.Frames.Count];
        places.AsSpan().Fill(PageLocations.None);
        return new ProbePages(guest.Classes.ToArray(), places, guest.Fingerprints.ToArray());
    }
}
