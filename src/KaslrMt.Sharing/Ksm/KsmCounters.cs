namespace KaslrMt.Sharing;

/// <summary>What KSM has done so far (<c>Documentation/admin-guide/mm/ksm.rst</c>, "Monitoring KSM progress"). Pages are of 4 KiB.</summary>
public sealed record KsmCounters
{
    private const int PageSize = 4096;

    /// <summary><c>pages_shared</c>: merged pages in use.</summary>
    public required long Shared { get; init; }

    /// <summary><c>pages_sharing</c>: how many more places they stand in for: what is saved.</summary>
    public required long Sharing { get; init; }

    /// <summary><c>pages_unshared</c>: pages looked at that have no equal.</summary>
    public required long Unshared { get; init; }

    /// <summary><c>pages_volatile</c>: pages that change too fast.</summary>
    public required long Volatile { get; init; }

    /// <summary><c>full_scans</c>: how often all memory was looked through.</summary>
    public required long FullScans { get; init; }

    /// <summary><c>ksm_zero_pages</c>: pages replaced by the kernel's zero page; null before 6.6.</summary>
    public long? ZeroPages { get; init; }

    /// <summary><c>pages_scanned</c>; null before 6.6.</summary>
    public long? Scanned { get; init; }

    /// <summary><c>general_profit</c>: bytes saved less what KSM needs for itself; null before 6.4.</summary>
    public long? Profit { get; init; }

    /// <summary>Bytes saved.</summary>
    public long SavedBytes => (Sharing + (ZeroPages ?? 0)) * PageSize;

    /// <summary>Pages the host holds for the memory that KSM knows: merged ones once, the others each.</summary>
    public long Held => Shared + Unshared + Volatile;

    /// <summary>Reads them.</summary>
    /// <exception cref="KaslrMtException">KMT6013.</exception>
    public static KsmCounters Read(KsmFolder ksm)
    {
        ArgumentNullException.ThrowIfNull(ksm);
        return new KsmCounters
        {
            Shared = ksm.Number("pages_shared") ?? 0,
            Sharing = ksm.Number("pages_sharing") ?? 0,
            Unshared = ksm.Number("pages_unshared") ?? 0,
            Volatile = ksm.Number("pages_volatile") ?? 0,
            FullScans = ksm.Number("full_scans") ?? 0,
            ZeroPages = ksm.Number("ksm_zero_pages"),
            Scanned = ksm.Number("pages_scanned"),
            Profit = ksm.Number("general_profit"),
        };
    }
}
