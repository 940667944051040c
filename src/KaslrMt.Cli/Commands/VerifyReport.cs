namespace KaslrMt.Cli.Commands;

/// <summary>Intended against observed, as <c>verify</c> reports it.</summary>
internal sealed record VerifyReport(string Name, bool Matches, IReadOnlyList<VerifyReport.VerifiedRegion> Regions)
{
    /// <summary>One region; observed is null while the kernel has not drawn the modules' base.</summary>
    internal sealed record VerifiedRegion(string Name, string Scope, string Intended, string? Observed, bool? Matches);
}
