using KaslrMt.Hypervisors;

namespace KaslrMt.Vms;

internal static class ShutdownRecord
{
    public static ShutdownReason ReasonIn(VmFolder folder) => ShutdownReason.Unexplained;
}
