namespace KaslrMt.Guests;

/// <summary>What one check found.</summary>
/// <param name="Check">The check.</param>
/// <param name="NotDone">Why it could not run; null when it ran.</param>
/// <param name="Findings">What it found, at most <see cref="AuditCheck.MostFindings"/> and one that counts the rest.</param>
/// <param name="Looked">How much it looked at: <c>14.0 MiB of kernel text</c>.</param>
public sealed record AuditOutcome(AuditCheck Check, string? NotDone, IReadOnlyList<AuditFinding> Findings, string Looked)
{
    /// <summary>
    /// Whether it could not run because of what the guest holds, or of a kernel file that is not the guest's, rather than for want of a key or file: a guest
    /// that makes a check fail is not clean.
    /// </summary>
    public bool Failed { get; init; }

    /// <summary>Whether it ran and found nothing.</summary>
    public bool IsClean => NotDone is null && Findings.Count == 0;

    /// <summary>The check's name.</summary>
    public override string ToString() => Check.Name;
}
