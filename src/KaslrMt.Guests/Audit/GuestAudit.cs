namespace KaslrMt.Guests;

/// <summary>Runs checks on a guest.</summary>
public static class GuestAudit
{
    /// <summary>Runs the checks, at once where the host has processors for it: reading a guest disturbs nobody.</summary>
    /// <param name="subject">The guest.</param>
    /// <param name="checks">Which; <see cref="AuditCheckRegistry.BuiltIn"/> for all that are built in.</param>
    /// <returns>An outcome for each; a check that hostile memory made fail says so instead of ending the others, and so does a check with a fault of its own.</returns>
    /// <exception cref="KaslrMtException">KMT5002 and others of the host: the guest went away.</exception>
    public static IReadOnlyList<AuditOutcome> Run(AuditSubject subject, IEnumerable<AuditCheck> checks)
    {
        ArgumentNullException.ThrowIfNull(subject);
        ArgumentNullException.ThrowIfNull(checks);
        Task<AuditOutcome>[] running = [.. checks.Select(check => Task.Run(() => Run(subject, check)))];
        return Task.WhenAll(running).GetAwaiter().GetResult();
    }

    private static AuditOutcome Run(AuditSubject subject, AuditCheck check)
    {
        try
        {
            return Limit(check.Run(subject));
        }
        catch (KaslrMtException error) when (error.Category is ErrorCategory.Image or ErrorCategory.Memory or ErrorCategory.Guest)
        {
            return new AuditOutcome(check, error.Problem, [], "") { Failed = true };
        }
        catch (Exception error) when (error is not (KaslrMtException or OperationCanceledException or OutOfMemoryException))
        {
            // What a guest can make one check stumble over must not hide what the others find. The message may tell what the guest holds; the type does not.
            return new AuditOutcome(check, $"the check has a fault ({error.GetType().Name})", [], "") { Failed = true };
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
