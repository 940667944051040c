namespace KaslrMt.Tenants;

/// <summary>Where a VM is in its life. Every one of these counts as alive: only a VM without a record does not. The numbers are stored.</summary>
public enum VmStatus
{
    /// <summary>It has its key; its process may not run yet.</summary>
    Starting = 1,

    /// <summary>It runs.</summary>
    Running = 2,

    /// <summary>Its memory is on disk, with its tenant's layout in it.</summary>
    Saved = 3,

    /// <summary>It is on two hosts; which one goes on is not settled.</summary>
    Migrating = 4,
}
