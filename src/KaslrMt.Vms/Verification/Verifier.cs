using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Vms;

/// <summary>Compares running VMs with the layouts they were given, and with each other.</summary>
internal static class Verifier
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private const int Attempts = 5;

    /// <summary>Reads the memory of running VMs.</summary>
    /// <param name="chosen">The VMs.</param>
    /// <param name="running">All VMs of the host: a tenant's are compared with each other.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>A report for each of the chosen VMs, in their order.</returns>
    /// <exception cref="KaslrMtException">KMT9007: a VM was given no layout; KMT50xx; errors of the monitor.</exception>
    public static async Task<IReadOnlyList<VerifyReport>> RunAsync(IReadOnlyList<RunningVm> chosen, IReadOnlyList<RunningVm> running, CancellationToken cancellationToken)
    {
        Dictionary<string, LayoutVerification> found = [];
        foreach (RunningVm vm in chosen)
        {
            found[vm.Name] = await ReadAsync(vm, cancellationToken).ConfigureAwait(false);
        }

        Dictionary<string, VerifyReport.VerifiedPromise?> promises = chosen.Select(vm => vm.State!.Tenant).OfType<string>().Distinct()
            .ToDictionary(tenant => tenant, tenant => VerifyReport.VerifiedPromise.Of(PolicyCheck.Check(tenant, running, found)));
        return [.. chosen.Select(vm => ReportOf(vm, found[vm.Name]) with
        {
            Promise = vm.State!.Tenant is string tenant && promises[tenant] is { } promise && promise.Vms.Contains(vm.Name) ? promise : null,
        })];
    }

    private static async Task<LayoutVerification> ReadAsync(RunningVm vm, CancellationToken cancellationToken)
    {
        IVmConnection? connection = null;
        try
        {
            for (int left = Attempts; ; left--)
            {
                if (vm.State?.ProcessId is null || IntendedLayout.ReadFrom(vm.Folder) is not { } intended)
                {
                    throw new KaslrMtException(VmErrors.NoLayout, $"'{vm.Name}' was given no layout: it is starting, or boots with its kernel's own KASLR");
                }

                connection ??= await Hypervisor.Default.OpenAsync(vm, cancellationToken).ConfigureAwait(false);
                LayoutVerification seen = await LayoutVerification.RunAsync(intended, connection, Patience, cancellationToken).ConfigureAwait(false);

                // A guest that rebooted meanwhile was compared with the layout of the boot before.
                if (seen.Matches || left == 1 || (IntendedLayout.ReadFrom(vm.Folder) is { } now && now.Regions.SequenceEqual(intended.Regions)))
                {
                    return seen;
                }
            }
        }
        finally
        {
            if (connection is not null)
            {
                await connection.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    private static VerifyReport ReportOf(RunningVm vm, LayoutVerification found) => new(vm.Name, vm.State?.Tenant, found.Matches, [.. found.Regions.Select(row =>
        new VerifyReport.VerifiedRegion(
            row.Region.Name(),
            row.Scope.Name(),
            Hex(row.Intended),
            row.Observed is ulong observed ? Hex(observed) : null,
            row.Observed is null ? null : row.Observed == row.Intended))]);

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x16}");
}
