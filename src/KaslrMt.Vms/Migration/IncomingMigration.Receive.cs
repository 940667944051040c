using System.Collections.Immutable;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>A VM that comes from another host of the same tenant table.</summary>
internal sealed partial class IncomingMigration
{
    /// <summary>Takes a VM over a link whose other end has proven itself and was not refused.</summary>
    /// <param name="link">The link; the caller disposes of it.</param>
    /// <param name="header">The VM that the source offers.</param>
    /// <param name="table">This host's tenant table.</param>
    /// <param name="host">What all VMs of this process share.</param>
    /// <param name="user">The rights that its files are opened with and its hypervisor runs with; null for this process's own.</param>
    /// <param name="folder">The VM's folder here.</param>
    /// <param name="log">Takes what happens meanwhile.</param>
    /// <param name="cancellationToken">Gives up, as long as the source has not given the guest away.</param>
    /// <param name="endToken">Ends the guest, whatever becomes of it.</param>
    /// <exception cref="KaslrMtException">KMT9018, 40xx, 30xx. The VM goes on where it was.</exception>
    public static async Task<IncomingMigration> FromHostAsync(
        MigrationLink link, MigrationHeader header, HostTable table, VmHost host, VmFolder folder, ProcessUser? user, ILogger log, CancellationToken cancellationToken, CancellationToken endToken)
    {
        TenantTable open = await table.GetAsync(cancellationToken).ConfigureAwait(false);
        var incoming = new IncomingMigration(header, table.Settings);
        try
        {
            try
            {
                incoming.Keep(header, folder);
                CrashPoint.Reached("receive-kept");
                incoming._vm = await Hypervisor.Default.StartAsync(incoming.Define(folder, host, user, log), folder, cancellationToken).ConfigureAwait(false);
            }
            catch (KaslrMtException error)
            {
                await link.SendAsync(LinkFrame.Ready, new LinkMessages(Problem: $"{error.Code}: {error.Problem}"), cancellationToken).ConfigureAwait(false);
                throw;
            }

            CrashPoint.Reached("receive-started");
            LinkRelay relay = await incoming.LoadAsync(folder, link, open.Host.Id, cancellationToken).ConfigureAwait(false);
            await using (relay.ConfigureAwait(false))
            {
                // From here on it is not to be lost: the source has stopped it, and whoever takes this over asks the table.
                incoming.NoteProcess(folder);
                CrashPoint.Reached("receive-loaded");
                VmRecord record = await FinishAsync(open, header.Spec.Name, header.Registration!.Incarnation, incoming.Processes, log, endToken).ConfigureAwait(false);
                CrashPoint.Reached("receive-entered");
                await incoming.BeginAsync(folder, table, record, log).ConfigureAwait(false);
                CrashPoint.Reached("receive-begun");
                await TellAsync(link, open.Host.Id).ConfigureAwait(false);
            }

            log.Arrived(header.Spec.Name);
            return incoming;
        }
        catch
        {
            await incoming.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async Task<LinkRelay> LoadAsync(VmFolder folder, MigrationLink link, string host, CancellationToken cancellationToken)
    {
        string path = folder.HypervisorFile("arrive.sock");
        using LocalSocket door = LocalSocket.Expect(path);
        await _vm!.ListenAsync(MigrationAddress.Unix(door.Address), cancellationToken).ConfigureAwait(false);
        var relay = new LinkRelay(link, await LocalSocket.ConnectAsync(path, cancellationToken).ConfigureAwait(false));
        try
        {
            await link.SendAsync(LinkFrame.Ready, new LinkMessages(host), cancellationToken).ConfigureAwait(false);
            Task arrived = _vm.WaitForArrivalAsync(cancellationToken);
            Task<(LinkFrame Kind, byte[] Bytes)> go = relay.NextAsync(cancellationToken);
            await (await Task.WhenAny(arrived, go).ConfigureAwait(false)).ConfigureAwait(false);
            if ((await go.ConfigureAwait(false)).Kind != LinkFrame.Go)
            {
                throw new KaslrMtException(VmErrors.Link, "the source does not say that the guest may go on here");
            }

            await arrived.ConfigureAwait(false);
            return relay;
        }
        catch
        {
            await relay.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    // The source waits for this change too, or undoes the move: there is no third way. A store that is away is asked until it is back.
    private static async Task<VmRecord> FinishAsync(
        TenantTable table, string name, Guid incarnation, ImmutableArray<ProcessMark> processes, ILogger log, CancellationToken cancellationToken)
    {
        for (bool told = false; ; told = true)
        {
            try
            {
                using Outcome outcome = await table.FinishMigrationAsync(name, processes, incarnation, cancellationToken).ConfigureAwait(false);
                return outcome.Vm!;
            }
            catch (KaslrMtException error) when (
                error.Code != TenantErrors.VmUnknown && error.Code != TenantErrors.VmReplaced && error.Code != TenantErrors.VmStatusConflict)
            {
                if (!told)
                {
                    log.WaitsForTable(error.Code, name, error.Message);
                }

                await Task.Delay(AskAgain, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static async Task TellAsync(MigrationLink link, string host)
    {
        try
        {
            await link.SendAsync(LinkFrame.Taken, new LinkMessages(host), CancellationToken.None).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // The source asks the table then.
        }
    }
}
