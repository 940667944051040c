namespace KaslrMt.Tenants;

/// <summary>A VM as an operator sees it.</summary>
/// <param name="Vm">The record.</param>
/// <param name="InDoubt">Why nobody can say whether it runs, or null. It counts as alive until <c>host evict</c> or <c>stop</c> settles it.</param>
/// <param name="OlderKey">Whether it was started under another generation than its tenant's key has now: it came back after an eviction.</param>
public sealed record VmView(VmRecord Vm, string? InDoubt, bool OlderKey);
