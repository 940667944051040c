namespace KaslrMt.Cli.Commands;

/// <summary>What <c>kaslrmt audit</c> says of one VM. Addresses in it are secrets of that VM.</summary>
internal sealed record AuditReport(string Name, string Release, bool Clean, IReadOnlyList<AuditReport.CheckResult> Checks)
{
    /// <summary>One check; <paramref name="NotDone"/> says why it could not run.</summary>
    internal sealed record CheckResult(string Name, string Subject, string Result, string Looked, string? NotDone, IReadOnlyList<FindingResult> Findings);

    /// <summary>One finding.</summary>
    internal sealed record FindingResult(string Severity, string Where, string What, string? Address);
}
