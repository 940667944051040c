namespace KaslrMt.Guests;

/// <summary>One kind of fault that can be looked for in a guest's memory: a built-in one (<see cref="AuditCheckRegistry.BuiltIn"/>), or one of another program's own.</summary>
/// <remarks>
/// <para>A check has no state of its own: one object serves several guests at once.</para>
/// <para>
/// All that a guest holds is hostile input. A check that reads it bounds every loop and every allocation. A <see cref="KaslrMtException"/> that reading throws may pass
/// through: <see cref="GuestAudit.Run(AuditSubject, IEnumerable{AuditCheck})"/> makes it the check's outcome.
/// </para>
/// </remarks>
public abstract class AuditCheck
{
    /// <summary>Most findings that one check gives; the rest is counted.</summary>
    public const int MostFindings = 100;

    /// <summary>Gets its name in commands and reports: lower-case letters, digits and <c>-</c>, 1 to 32 of them.</summary>
    public abstract string Name { get; }

    /// <summary>Gets what it looks for, in a few words.</summary>
    public abstract string Subject { get; }

    /// <summary>Gets whether it compares the guest with its kernel file.</summary>
    public virtual bool NeedsImage => false;

    /// <summary>Gets whether it looks for the secrets that the guest must not hold.</summary>
    public virtual bool NeedsSecrets => false;

    /// <summary>Looks for the fault.</summary>
    /// <param name="subject">The guest. It may be a running one, which changes meanwhile; other checks read it at the same time.</param>
    /// <returns>
    /// The outcome, by <see cref="Found"/>, <see cref="NotDone"/> or <see cref="Failed"/>: a check that this guest, or what is known of it, does not allow says so.
    /// </returns>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away; errors of what the guest holds.</exception>
    public abstract AuditOutcome Run(AuditSubject subject);

    /// <summary>Returns the outcome of a check that ran.</summary>
    /// <param name="findings">What it found; none where all is well.</param>
    /// <param name="looked">How much it looked at, such as <c>14.0 MiB of kernel text</c>.</param>
    protected AuditOutcome Found(IReadOnlyList<AuditFinding> findings, string looked) => new(this, null, findings, looked);

    /// <summary>Returns the outcome of a check that could not run for want of a key, a file or a feature of the kernel.</summary>
    /// <param name="reason">Why, one line.</param>
    protected AuditOutcome NotDone(string reason) => new(this, reason, [], "");

    /// <summary>Returns the outcome of a check that the guest, or a kernel file that is not its own, made fail: such a guest is not clean.</summary>
    /// <param name="reason">Why, one line.</param>
    protected AuditOutcome Failed(string reason) => NotDone(reason) with { Failed = true };

    /// <summary>Returns a finding of this check.</summary>
    /// <param name="severity">How bad it is.</param>
    /// <param name="where">A symbol and offset (<see cref="AuditSubject.Describe"/>), an address or a page; no secret.</param>
    /// <param name="what">What is wrong, one line.</param>
    /// <param name="address">The run-time address, where there is one; a secret of the VM.</param>
    protected AuditFinding Finding(AuditSeverity severity, string where, string what, VirtualAddress? address = null) => new(Name, severity, where, what, address);
}
