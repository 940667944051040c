namespace KaslrMt.Tenants;

/// <summary>The part of the table that one command reads and changes.</summary>
/// <param name="Tenant">The tenant, or null when there is none.</param>
/// <param name="Vm">The VM of that name, or null; it may be another tenant's.</param>
/// <param name="HostAlive">Whether the command's host has a lease; true when it names none.</param>
internal readonly record struct TableSlice(TenantRecord? Tenant, VmRecord? Vm, bool HostAlive);

/// <summary>What happens to a tenant's key. The numbers are stored in the audit log.</summary>
public enum KeyEffect
{
    /// <summary>It stays as it is.</summary>
    None = 0,

    /// <summary>A new one is made.</summary>
    Created = 1,

    /// <summary>It is purged.</summary>
    Purged = 2,
}

/// <summary>What a command does to its slice.</summary>
/// <param name="Tenant">The tenant afterwards; null when it is (or stays) removed.</param>
/// <param name="Vm">The VM afterwards; null when there is none.</param>
/// <param name="Key">What happens to the tenant's key; the store fills in <see cref="TenantRecord.KeyId"/> of a new one.</param>
/// <param name="Action">The audit log's word for it, or null when nothing changes.</param>
/// <param name="Detail">Further words for the audit log.</param>
internal readonly record struct Decision(TenantRecord? Tenant, VmRecord? Vm, KeyEffect Key, string? Action, string? Detail = null)
{
    internal bool Changes => Action is not null;
}
