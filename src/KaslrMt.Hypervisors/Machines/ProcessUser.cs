namespace KaslrMt.Hypervisors;

/// <summary>The rights that a hypervisor's process has on the host.</summary>
/// <param name="User">The user's number.</param>
/// <param name="Group">The primary group's number.</param>
/// <param name="Groups">The supplementary groups' numbers.</param>
public sealed record ProcessUser(uint User, uint Group, IReadOnlyList<uint> Groups);
