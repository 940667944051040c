namespace KaslrMt.Cli.Sharing;

/// <summary>What the host's KSM does, as <c>ksm status</c> reports it. Bytes, pages of 4 KiB, milliseconds.</summary>
/// <param name="State"><c>running</c>, <c>stopped</c> or <c>unmerging</c>.</param>
/// <param name="BytesPerSecond">The rate it looks through memory at; null where the kernel chooses it.</param>
/// <param name="AdvisorTargetSeconds">What the kernel's advisor aims at; null where it does not choose.</param>
/// <param name="PagesShared">Merged pages in use.</param>
/// <param name="PagesSharing">Places they stand in for besides one each.</param>
/// <param name="PagesUnshared">Pages without an equal.</param>
/// <param name="PagesVolatile">Pages that change too fast.</param>
/// <param name="ZeroPages">Pages replaced by the kernel's zero page; null before 6.6.</param>
/// <param name="FullScans">How often all memory was looked through.</param>
/// <param name="SavedBytes">What is saved.</param>
/// <param name="ProfitBytes">The same less KSM's own needs; null before 6.4.</param>
/// <param name="Vms">This user's VMs.</param>
internal sealed record KsmReport(
    string State,
    long? BytesPerSecond,
    long? AdvisorTargetSeconds,
    long PagesShared,
    long PagesSharing,
    long PagesUnshared,
    long PagesVolatile,
    long? ZeroPages,
    long FullScans,
    long SavedBytes,
    long? ProfitBytes,
    IReadOnlyList<KsmReport.Vm> Vms)
{
    /// <summary>One VM.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="MemoryBytes">Its RAM.</param>
    /// <param name="MergeableBytes">Memory of its QEMU that may be merged.</param>
    /// <param name="MergedBytes">Memory of its QEMU that is merged.</param>
    /// <param name="ProfitBytes">Saved for it less KSM's own needs; null before 6.4.</param>
    /// <param name="Advice">Why little of it can be merged; null when all is well.</param>
    internal sealed record Vm(string Name, ulong MemoryBytes, long MergeableBytes, long MergedBytes, long? ProfitBytes, string? Advice);
}
