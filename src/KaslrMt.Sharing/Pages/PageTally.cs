namespace KaslrMt.Sharing;

/// <summary>How pages repeat, of one class or of all. Counts are pages of 4 KiB.</summary>
public sealed record PageTally
{
    /// <summary>All pages.</summary>
    public long Pages { get; internal set; }

    /// <summary>Those that hold zeros and nothing else.</summary>
    public long Zero { get; internal set; }

    /// <summary>Different contents, zeros among them: pages that must be held.</summary>
    public long Distinct { get; internal set; }

    /// <summary>Pages that repeat another page of the same tenant's VMs, the same VM included.</summary>
    public long WithinTenants { get; internal set; }

    /// <summary>Pages that repeat another tenant's page and none of their own tenant's.</summary>
    public long AcrossTenants { get; internal set; }

    /// <summary>Pages whose content no other guest has, though their own may have it more than once.</summary>
    public long Unique { get; internal set; }

    /// <summary>Redundant pages (the paper, section 8.1): what perfect deduplication saves.</summary>
    public long Redundant => Pages - Distinct;

    /// <summary>The redundant share of all pages, 0 to 1.</summary>
    public double RedundantShare => Pages == 0 ? 0 : (double)Redundant / Pages;
}
