namespace KaslrMt.Guests;

/// <summary>One kind of fault that can be looked for in a guest's memory.</summary>
public abstract class AuditCheck
{
    /// <summary>Most findings that one check gives; the rest is counted.</summary>
    public const int MostFindings = 100;

    /// <summary>Its name in commands and reports.</summary>
    public abstract string Name { get; }

    /// <summary>What it looks for, in a few words.</summary>
    public abstract string Subject { get; }

    /// <summary>Whether it compares the guest with its kernel file.</summary>
    public virtual bool NeedsImage => false;

    /// <summary>Whether it looks for the secrets that the guest must not hold.</summary>
    public virtual bool NeedsSecrets => false;

    /// <summary>All checks, in the order they run.</summary>
    public static IReadOnlyList<AuditCheck> All { get; } =
    [
        new WritableExecutableCheck(), new UserAccessibleCheck(), new GuardPageCheck(), new LogCheck(), new KeyCheck(), new CodeCheck(),
    ];

    /// <summary>Looks for it.</summary>
    /// <returns>The outcome; a check that this guest or what is known of it does not allow says so.</returns>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away.</exception>
    internal abstract AuditOutcome Run(AuditSubject subject);

    /// <summary>The outcome of a check that ran.</summary>
    private protected AuditOutcome Found(IReadOnlyList<AuditFinding> findings, string looked) => new(this, null, findings, looked);

    /// <summary>The outcome of a check that could not run.</summary>
    private protected AuditOutcome NotDone(string reason) => new(this, reason, [], "");

    /// <summary>The outcome of a check that the guest, or a kernel file that is not its own, made fail.</summary>
    private protected AuditOutcome Failed(string reason) => NotDone(reason) with { Failed = true };

    /// <summary>A finding of this check.</summary>
    private protected AuditFinding Finding(AuditSeverity severity, string where, string what, VirtualAddress? address = null) => new(Name, severity, where, what, address);
}
