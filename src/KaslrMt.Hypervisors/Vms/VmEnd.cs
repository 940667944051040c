namespace KaslrMt.Hypervisors;

/// <summary>Why a VM ended, as the hypervisor wrote it into the VM's folder.</summary>
/// <param name="Reason">The reason; <see cref="ShutdownReason.Unexplained"/> when the hypervisor wrote none: it was killed (<c>kill -9</c>, the OOM killer) or crashed, or the VM runs.</param>
/// <param name="Time">When the reason was written, by the host's clock; null without a reason, and when what is written makes no sense as a time.</param>
public readonly record struct VmEnd(ShutdownReason Reason, DateTimeOffset? Time)
{
    /// <summary>Gets the end of a VM that ended without a word.</summary>
    public static VmEnd Unexplained { get; } = new(ShutdownReason.Unexplained, null);
}
