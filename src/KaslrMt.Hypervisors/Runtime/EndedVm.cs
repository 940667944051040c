namespace KaslrMt.Hypervisors;

/// <summary>A detached VM that ended while it had no owner.</summary>
/// <param name="Name">The VM's name.</param>
/// <param name="State">What its last owner wrote.</param>
/// <param name="End">Why it ended, as its hypervisor wrote it.</param>
public sealed record EndedVm(string Name, VmState State, VmEnd End);
