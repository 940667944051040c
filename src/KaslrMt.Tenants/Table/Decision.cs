namespace KaslrMt.Tenants;

/// <summary>The part of the table that one command reads and changes.</summary>
/// <param name="Tenant">The tenant, or null where the table has none of that name.</param>
/// <param name="Vm">The VM of that name, or null; it may be another tenant's.</param>
/// <param name="HostAlive">Whether the command's host has a lease; true when it names none.</param>
public readonly record struct TableSlice(TenantRecord? Tenant, VmRecord? Vm, bool HostAlive);

/// <summary>The effect of a command on a tenant's key. The numbers are stored in the audit log.</summary>
public enum KeyEffect
{
    /// <summary>The key stays as it is.</summary>
    None = 0,

    /// <summary>A new key is made.</summary>
    Created = 1,

    /// <summary>The key is purged.</summary>
    Purged = 2,
}

/// <summary>The effect of a command on its slice.</summary>
/// <param name="Tenant">The tenant afterwards; null when it is (or stays) removed.</param>
/// <param name="Vm">The VM afterwards; null where it is removed or absent.</param>
/// <param name="Key">The effect on the tenant's key; the store fills in <see cref="TenantRecord.KeyId"/> of a new one.</param>
/// <param name="Action">The audit log's word for it, or null when nothing changes.</param>
/// <param name="Detail">Further words for the audit log.</param>
public readonly record struct Decision(TenantRecord? Tenant, VmRecord? Vm, KeyEffect Key, string? Action, string? Detail = null)
{
    /// <summary>Gets whether anything changes: where nothing does, the store writes nothing, the audit log included.</summary>
    public bool Changes => Action is not null;
}
