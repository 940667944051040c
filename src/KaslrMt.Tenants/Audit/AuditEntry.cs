using System.Globalization;

namespace KaslrMt.Tenants;

/// <summary>One change of the table: who did what, when. It holds no secret.</summary>
public sealed record AuditEntry
{
    /// <summary>Its place in the order of all changes: ascending, with gaps.</summary>
    public long Sequence { get; init; }

    /// <summary>When, by the clock of the host that made the change.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>Who.</summary>
    public required Actor Actor { get; init; }

    /// <summary>What: <c>start</c>, <c>running</c>, <c>save</c>, <c>restore</c>, <c>migrate</c>, <c>migrated</c>, <c>migrate-abort</c>, <c>stop</c>, <c>evict</c>,
    /// <c>reattach</c>, <c>rotate</c>, <c>remove</c>, <c>host-join</c>, <c>host-evict</c>, <c>rewrap</c>,
    /// <c>audit-trim</c>.</summary>
    public required string Action { get; init; }

    /// <summary>The tenant, or null.</summary>
    public string? Tenant { get; init; }

    /// <summary>The VM, or null.</summary>
    public string? Vm { get; init; }

    /// <summary>The host that has the VM after the change, or null.</summary>
    public string? Host { get; init; }

    /// <summary>The VM's (or purged key's) generation, or 0.</summary>
    public long Generation { get; init; }

    /// <summary>What happened to the tenant's key.</summary>
    public KeyEffect Key { get; init; }

    /// <summary>Names the key concerned, see <see cref="TenantRecord.KeyId"/>.</summary>
    public string? KeyId { get; init; }

    /// <summary>Further words.</summary>
    public string? Detail { get; init; }

    /// <summary>The entry that says that earlier ones were removed, so that a checker does not miss them.</summary>
    internal static AuditEntry Trimmed(long removed, Actor actor, DateTimeOffset now) => new()
    {
        At = now,
        Actor = actor,
        Action = "audit-trim",
        Detail = string.Create(CultureInfo.InvariantCulture, $"{removed} entries"),
    };

    /// <summary>The entry for a decision.</summary>
    internal static AuditEntry Of(TableSlice before, Decision after, Actor actor, DateTimeOffset now)
    {
        VmRecord? vm = after.Vm ?? before.Vm;
        TenantRecord? tenant = after.Tenant ?? before.Tenant;
        return new AuditEntry
        {
            At = now,
            Actor = actor,
            Action = after.Action!,
            Tenant = tenant?.Name,
            Vm = vm?.Name,
            Host = vm?.Host,
            Generation = vm?.Generation ?? tenant?.Generation ?? 0,
            Key = after.Key,
            KeyId = after.Key == KeyEffect.Purged ? before.Tenant?.KeyId : tenant?.KeyId,
            Detail = after.Detail,
        };
    }
}
