using KaslrMt.Guests;

namespace KaslrMt.Sharing;

/// <summary>What all pages of a guest hold and what they are: fingerprints and classes, by the same numbers.</summary>
public sealed class GuestPages
{
    private readonly PageClass[] _classes;
    private readonly PageFingerprint[] _fingerprints;

    internal GuestPages(string name, string? tenant, string release, IGuestMemory memory, PageClass[] classes, PageFingerprint[] fingerprints)
    {
        Name = name;
        Tenant = tenant;
        Release = release;
        Memory = memory;
        Frames = new PageFrames(memory.Ranges);
        _classes = classes;
        _fingerprints = fingerprints;
    }

    /// <summary>The guest's name.</summary>
    public string Name { get; }

    /// <summary>Whose it is; null where nobody knows: it counts as a tenant of its own.</summary>
    public string? Tenant { get; }

    /// <summary>Its kernel's release.</summary>
    public string Release { get; }

    /// <summary>Its RAM.</summary>
    public IGuestMemory Memory { get; }

    /// <summary>How its pages are numbered.</summary>
    public PageFrames Frames { get; }

    /// <summary>The class of each page.</summary>
    public ReadOnlySpan<PageClass> Classes => _classes;

    /// <summary>The fingerprint of each page.</summary>
    public ReadOnlySpan<PageFingerprint> Fingerprints => _fingerprints;

    /// <summary>Reads a guest.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tenant">Whose it is.</param>
    /// <param name="kernel">Its kernel; its memory must stay open as long as the result is compared with others.</param>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away or holds no kernel; KMT27xx.</exception>
    public static GuestPages Read(string name, string? tenant, GuestKernel kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        PageMap map = PageMap.Classify(kernel, GuestModules.Read(kernel));
        PageFingerprints fingerprints = PageFingerprints.Read(kernel.Memory);
        return new GuestPages(name, tenant, kernel.Release, kernel.Memory, map.Pages.ToArray(), fingerprints.Pages.ToArray());
    }
}
