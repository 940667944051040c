using System.Collections.Immutable;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>A VM whose supervisor died while it was saved, restored or moved: the tenant table tells where it goes on.</summary>
internal static class MigrationRecovery
{
    /// <summary>Settles it.</summary>
    /// <param name="table">The table; null for a VM that is in none.</param>
    /// <param name="note">Which start it is; null for a VM that is in no table.</param>
    /// <param name="vm">Its QEMU here.</param>
    /// <param name="folder">Its folder.</param>
    /// <returns>Whether it goes on here, and its record then. Where not, its QEMU is to be ended, and the table stays as it is.</returns>
    /// <exception cref="KaslrMtException">40xx: the table does not answer, and nothing was settled.</exception>
    public static async Task<(bool Here, VmRecord? Record)> RunAsync(HostTable? table, VmRecord? note, IVirtualMachine vm, VmFolder folder)
    {
        string status = await vm.StatusAsync().ConfigureAwait(false);
        if (status == "running")
        {
            // QEMU gave up the move by itself; what the table says about it is undone when it is told that the VM runs.
            return (true, note);
        }

        VmRecord? record = note;
        if (table is not null && note is not null)
        {
            TenantTable open = await table.GetAsync(CancellationToken.None).ConfigureAwait(false);
            record = await DecideAsync(open, note, status, [ProcessMark.Of(vm.ProcessId)]).ConfigureAwait(false);
            if (record is null)
            {
                return (false, null);
            }

            RegistrationFile.Of(record, table.Settings).WriteTo(folder);
        }

        await vm.ContinueAsync().ConfigureAwait(false);
        return (true, record);
    }

    private static async Task<VmRecord?> DecideAsync(TenantTable table, VmRecord note, string status, ImmutableArray<ProcessMark> processes)
    {
        VmRecord? known = await table.Store.FindVmAsync(note.Name).ConfigureAwait(false);
        bool same = known?.Incarnation == note.Incarnation;
        string host = table.Host.Id;
        switch (known)
        {
            case { Status: VmStatus.Migrating } when same && known.Host == host:
                using (Outcome outcome = await table.AbortMigrationAsync(note.Name, note.Incarnation).ConfigureAwait(false))
                {
                    return outcome.Vm!.Host == host ? outcome.Vm : null;
                }

            case { Status: VmStatus.Migrating } when same && known.Target == host:
                using (Outcome outcome = await table.FinishMigrationAsync(note.Name, processes, note.Incarnation).ConfigureAwait(false))
                {
                    return outcome.Vm;
                }

            // It was being restored. One that stands behind its save is whole in its file.
            case { Status: VmStatus.Saved } when same && status != "postmigrate":
                using (Outcome outcome = await table.RestoreAsync(note.Name, processes).ConfigureAwait(false))
                {
                    return outcome.Vm;
                }

            // It was being saved, and goes on. A file of it may be whole all the same: another incarnation makes it worthless.
            case { Status: VmStatus.Running } when same && known.Host == host && status == "postmigrate":
                (await table.SaveAsync(note.Name, note.Incarnation).ConfigureAwait(false)).Dispose();
                using (Outcome outcome = await table.RestoreAsync(note.Name, processes).ConfigureAwait(false))
                {
                    return outcome.Vm;
                }

            case { Status: VmStatus.Running or VmStatus.Starting } when known.Host == host && (same || known.Processes.Contains(processes[0])):
                return known;

            default:
                return null;
        }
    }
}
