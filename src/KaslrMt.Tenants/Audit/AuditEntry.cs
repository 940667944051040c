using System.Globalization;

namespace KaslrMt.Tenants;

/// <summary>One change of the table: the user, the change, the time. It holds no secret.</summary>
public sealed record AuditEntry
{
    /// <summary>Gets the entry's place in the order of all changes: ascending, with gaps.</summary>
    public long Sequence { get; init; }

    /// <summary>Gets the time, by the clock of the host that made the change.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>Gets the user and process that made the change.</summary>
    public required Actor Actor { get; init; }

    /// <summary>Gets the change: <c>start</c>, <c>running</c>, <c>save</c>, <c>restore</c>, <c>migrate</c>, <c>migrated</c>, <c>migrate-abort</c>, <c>stop</c>, <c>evict</c>,
    /// <c>reattach</c>, <c>rotate</c>, <c>remove</c>, <c>host-join</c>, <c>host-evict</c>, <c>rewrap</c>,
    /// <c>audit-trim</c>.</summary>
    public required string Action { get; init; }

    /// <summary>Gets the tenant, or null.</summary>
    public string? Tenant { get; init; }

    /// <summary>Gets the VM, or null.</summary>
    public string? Vm { get; init; }

    /// <summary>Gets the host that has the VM after the change, or null.</summary>
    public string? Host { get; init; }

    /// <summary>Gets the VM's (or purged key's) generation, or 0.</summary>
    public long Generation { get; init; }

    /// <summary>Gets the effect on the tenant's key.</summary>
    public KeyEffect Key { get; init; }

    /// <summary>Gets the name of the key concerned, see <see cref="TenantRecord.KeyId"/>.</summary>
    public string? KeyId { get; init; }

    /// <summary>Gets further words, or null.</summary>
    public string? Detail { get; init; }

    /// <summary>Returns the entry that says that earlier ones were removed, so that a checker does not miss them.</summary>
    public static AuditEntry Trimmed(long removed, Actor actor, DateTimeOffset now) => new()
    {
        At = now,
        Actor = actor,
        Action = "audit-trim",
        Detail = string.Create(CultureInfo.InvariantCulture, $"{removed} entries"),
    };

    /// <summary>Returns the entry for a decision.</summary>
    public static AuditEntry Of(TableSlice before, Decision after, Actor actor, DateTimeOffset now)
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

/// <summary>The user and process that make a change, for the audit log.</summary>
/// <param name="UserId">The effective user's number.</param>
/// <param name="User">The user's name; under sudo, that of the user who called it.</param>
/// <param name="Process">The process's number.</param>
/// <param name="Host">The host's identity.</param>
public sealed record Actor(uint UserId, string User, int Process, string Host)
{
    /// <summary>Gets the actor of this process.</summary>
    /// <param name="host">The host's identity.</param>
    public static Actor Current(string host)
    {
        uint user = StateDirectory.EffectiveUser();
        string? behind = user == 0 ? Environment.GetEnvironmentVariable("SUDO_USER") : null;
        string name = string.IsNullOrEmpty(behind) ? Environment.UserName : $"{behind} (sudo)";
        return new Actor(user, string.Concat(name.Take(64).Where(c => !char.IsControl(c))), Environment.ProcessId, host);
    }
}
