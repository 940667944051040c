namespace KaslrMt.Tenants;

/// <summary>What a watcher is told.</summary>
/// <param name="Revision">Where the store is.</param>
/// <param name="Kind">What changed.</param>
/// <param name="Name">The name of what changed; empty for <see cref="TableChangeKind.Relist"/>.</param>
public readonly record struct TableChange(long Revision, TableChangeKind Kind, string Name)
{
    /// <summary>Anything may have changed: list again.</summary>
    public static TableChange Relist(long revision) => new(revision, TableChangeKind.Relist, "");
}

/// <summary>What a change is about.</summary>
public enum TableChangeKind
{
    /// <summary>Anything may have changed: list again.</summary>
    Relist,

    /// <summary>A tenant.</summary>
    Tenant,

    /// <summary>A VM.</summary>
    Vm,

    /// <summary>A host, or its lease.</summary>
    Host,
}
