using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>A VM that comes from the file that it was saved to.</summary>
internal sealed partial class IncomingMigration
{
    /// <summary>Starts a saved VM. Until the table says that it runs, its file and its being saved stay as they are.</summary>
    /// <param name="name">The VM.</param>
    /// <param name="file">The absolute path of the file.</param>
    /// <param name="table">The VM's tenant table; null where it is in none.</param>
    /// <param name="host">What all VMs of this process share.</param>
    /// <param name="folder">Its folder here.</param>
    /// <param name="user">The rights that its files are opened with and its hypervisor runs with; null for this process's own.</param>
    /// <param name="log">Takes what happens meanwhile.</param>
    /// <param name="cancellationToken">Gives up, as long as the guest has not begun.</param>
    /// <exception cref="KaslrMtException">KMT9015, 40xx, 30xx.</exception>
    public static async Task<IncomingMigration> FromFileAsync(
        string name, string file, HostTable? table, VmHost host, VmFolder folder, ProcessUser? user, ILogger log, CancellationToken cancellationToken)
    {
        (MigrationHeader header, long offset) = MigrationHeader.ReadFrom(file);
        if (header.Spec.Name != name)
        {
            throw new KaslrMtException(VmErrors.NotSaved, $"{file} holds VM '{Printable.Of(header.Spec.Name)}', not '{name}'");
        }

        HostTable? registered = header.Registration is null ? null : table;
        var incoming = new IncomingMigration(header, table?.Settings);
        try
        {
            TenantTable? open = registered is null ? null : await registered.GetAsync(cancellationToken).ConfigureAwait(false);
            if (open is not null)
            {
                RequireSaved(await open.Store.FindVmAsync(name, cancellationToken).ConfigureAwait(false), header.Registration!, file);
            }

            incoming.Keep(header, folder);
            CrashPoint.Reached("restore-kept");
            incoming._vm = await Hypervisor.Default.RestoreAsync(incoming.Define(folder, host, user, log), folder, file, offset, cancellationToken).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            incoming.NoteProcess(folder);
            CrashPoint.Reached("restore-loaded");
            VmRecord? record = null;
            if (open is not null)
            {
                using Outcome outcome = await open.RestoreAsync(name, incoming.Processes, CancellationToken.None).ConfigureAwait(false);
                record = outcome.Vm!;
                CrashPoint.Reached("restore-entered");
                RegistrationFile.Of(record, registered!.Settings).WriteTo(folder);
            }

            await incoming.BeginAsync(folder, registered, record, log).ConfigureAwait(false);
            CrashPoint.Reached("restore-begun");
            File.Delete(file);
            log.Restored(name);
            return incoming;
        }
        catch
        {
            await incoming.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static void RequireSaved(VmRecord? record, RegistrationFile note, string file)
    {
        if (record is { Status: not VmStatus.Saved })
        {
            throw new KaslrMtException(TenantErrors.VmStatusConflict, $"VM '{record.Name}' is not saved: it is {record.Status.ToString().ToLowerInvariant()} on host {record.Host}", "list all VMs");
        }

        if (record?.Incarnation != note.Incarnation)
        {
            throw new KaslrMtException(
                VmErrors.NotSaved,
                $"{file} is not what the tenant table means by the saved VM: it was restored, forgotten or saved again since, or this is another table",
                "give the newest file, and the VM's own --store");
        }
    }
}
