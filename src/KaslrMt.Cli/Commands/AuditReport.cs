namespace KaslrMt.Cli.Commands;

/// <summary>What <c>kaslrmt audit</c> says of one VM. Addresses in it are secrets of that VM.</summary>
internal sealed record AuditReport(string Name, string Release, IReadOnlyList<AuditReport.CheckResult> Checks)
{
    /// <summary>Whether nothing was found, and no check failed that the guest should have allowed or that was asked for by name.</summary>
    public bool Clean => Checks.All(check => check.Findings.Count == 0 && !check.Failed);

    /// <summary>One check; <paramref name="NotDone"/> says why it could not run, <paramref name="Failed"/> that it should have.</summary>
    internal sealed record CheckResult(
        string Name, string Subject, string Result, string Looked, string? NotDone, bool Failed, IReadOnlyList<FindingResult> Findings);

    /// <summary>One finding.</summary>
    internal sealed record FindingResult(string Severity, string Where, string What, string? Address);
}
