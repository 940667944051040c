using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Output;

/// <summary>Which command helps against an error: libraries speak of problems, and know no commands.</summary>
internal static class CommandHints
{
    private static readonly Dictionary<int, string> Hints = new()
    {
        [TenantErrors.StoreCorrupt.Number] = "kaslrmt store check",
        [TenantErrors.EtcdFull.Number] = "kaslrmt store check --scrub",
        [TenantErrors.HostUnknown.Number] = "kaslrmt host list",
        [TenantErrors.HostAlive.Number] = "on that host: kaslrmt stop NAME",
        [TenantErrors.VmStatusConflict.Number] = "kaslrmt ps --all",
        [TenantErrors.VmUnknown.Number] = "kaslrmt ps --all",
        [TenantErrors.TenantUnknown.Number] = "kaslrmt tenant list",
        [HypervisorErrors.MonitorClosed.Number] = "kaslrmt ps",
        [HypervisorErrors.NameInUse.Number] = "kaslrmt stop NAME",
        [VmErrors.NotSaved.Number] = "kaslrmt save NAME",
        [VmErrors.NoKey.Number] = "kaslrmt run --tenant NAME, or --tenant-key-file FILE of kaslrmt key new FILE",
        [VmErrors.KeyFile.Number] = "kaslrmt key new FILE",
    };

    /// <summary>Gets the command that helps; null where none does.</summary>
    public static string? Of(ErrorCode code) => Hints.GetValueOrDefault(code.Number);
}
