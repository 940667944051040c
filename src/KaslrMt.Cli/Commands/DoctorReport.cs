namespace KaslrMt.Cli.Commands;

/// <summary>Whether this host has what kaslrmt needs, as <c>doctor</c> reports it.</summary>
internal sealed record DoctorReport(bool Healthy, IReadOnlyList<DoctorReport.Finding> Findings)
{
    /// <summary>One thing looked at.</summary>
    /// <param name="What">The thing.</param>
    /// <param name="Ok">Whether it is as it must be; null for a remark.</param>
    /// <param name="Detail">What was found.</param>
    internal sealed record Finding(string What, bool? Ok, string Detail);
}
