namespace KaslrMt.Guests;

/// <summary>Runs checks on a guest.</summary>
public static class GuestAudit
{
    /// <summary>Runs the checks, at once where the host has processors for it: reading a guest disturbs nobody.</summary>
    /// <param name="subject">The guest.</param>
    /// <param name="checks">Which; <see cref="AuditCheck.All"/> for all.</param>
    /// <returns>An outcome for each; a check that hostile memory made fail says so instead of ending the others.</returns>
    /// <exception cref="KaslrMtException">KMT5002 and others of the host: the guest went away.</exception>
    public static IReadOnlyList<AuditOutcome> Run(AuditSubject subject, IEnumerable<AuditCheck> checks)
    {
        ArgumentNullException.ThrowIfNull(subject);
        ArgumentNullException.ThrowIfNull(checks);
        Task<AuditOutcome>[] running = [.. checks.Select(check => Task.Run(() => Limit(Run(subject, check))))];
        return Task.WhenAll(running).GetAwaiter().GetResult();
    }

    private static AuditOutcome Run(AuditSubject subject, AuditCheck check)
    {
        try
        {
            return check.Run(subject);
        }
        catch (KaslrMtException error) when (error.Category is ErrorCategory.Image or ErrorCategory.Memory or ErrorCategory.Guest)
        {
            return new AuditOutcome(check, error.Problem, [], "") { Failed = true };
        }
    }

    private static AuditOutcome Limit(AuditOutcome outcome) => outcome.Findings.Count <= AuditCheck.MostFindings ? outcome : outcome with
    {
        Findings =
        [
            .. outcome.Findings.Take(AuditCheck.MostFindings),
            new AuditFinding(outcome.Check.Name, outcome.Findings[0].Severity, "elsewhere", $"{outcome.Findings.Count - AuditCheck.MostFindings} more"),
        ],
    };
}
