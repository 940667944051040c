using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>The key of a running VM's tenant, from the table that the VM was started from.</summary>
internal static class VmKey
{
    /// <summary>Asks the table.</summary>
    /// <param name="vm">The VM.</param>
    /// <param name="log">Takes why there is no key where there should be one.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>Null for a VM that is in no table, and where the table cannot tell. The caller disposes of it.</returns>
    public static async Task<TenantKey?> OfAsync(RunningVm vm, ILogger log, CancellationToken cancellationToken)
    {
        if (RegistrationFile.TryReadFrom(vm.Folder) is not { Store: string store } note)
        {
            return null;
        }

        try
        {
            await using TenantTable table = await TenantTable.OpenAsync(OpenTable.Impatient(StoreSettings.Read(store)), cancellationToken).ConfigureAwait(false);
            return await table.KeyOfAsync(note.ToRecord(vm.Name), cancellationToken).ConfigureAwait(false);
        }
        catch (KaslrMtException failure)
        {
            log.KeyUnavailable(vm.Name, failure.Code, failure.Message);
            return null;
        }
    }
}
