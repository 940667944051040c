using System.Net.Sockets;
using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>Takes VMs that other hosts of the tenant table send: at an address that the configuration names, or that a caller named for one VM.</summary>
/// <param name="host">This host's tenant table.</param>
/// <param name="log">Takes refused callers.</param>
internal sealed class MigrationReceiver(HostTable host, ILogger log)
{
    /// <summary>Listens until cancelled, and hands each VM that may come to <paramref name="take"/>.</summary>
    /// <param name="address">Where to listen.</param>
    /// <param name="expected">The one VM that is awaited; null for any VM of the table that is on its way to this host.</param>
    /// <param name="take">Takes a VM: returns true when no further one is awaited.</param>
    /// <param name="cancellationToken">Ends the listening.</param>
    /// <exception cref="KaslrMtException">KMT9018: the address cannot be listened at; 40xx.</exception>
    public async Task ListenAsync(
        LinkAddress address, string? expected, Func<MigrationLink, MigrationHeader, CancellationToken, Task<bool>> take, CancellationToken cancellationToken)
    {
        using KeyRing keys = KeyRingFile.Find(host.Settings.StateDirectory, host.Settings.KeyFile).Load();
        using Socket listener = await address.ListenAsync(cancellationToken).ConfigureAwait(false);
        if (expected is not null)
        {
            log.Awaited(expected, address.ToString());
        }

        var callers = new MigrationListener(listener, keys, SentAway);
        try
        {
            await using (callers.ConfigureAwait(false))
            {
                while (true)
                {
                    (MigrationLink link, MigrationHeader header) = await callers.NextAsync(cancellationToken).ConfigureAwait(false);
                    if (await OfferAsync(link, header, expected, take, cancellationToken).ConfigureAwait(false))
                    {
                        return;
                    }
                }
            }
        }
        finally
        {
            if (address.Path is not null)
            {
                File.Delete(address.Path);
            }
        }
    }

    private async Task<bool> OfferAsync(
        MigrationLink link, MigrationHeader header, string? expected, Func<MigrationLink, MigrationHeader, CancellationToken, Task<bool>> take, CancellationToken cancellationToken)
    {
        using (link)
        {
            string? refusal;
            try
            {
                refusal = await RefusalAsync(expected, header, cancellationToken).ConfigureAwait(false);
                if (refusal is not null)
                {
                    await link.SendAsync(LinkFrame.Ready, new LinkMessages(Problem: refusal), cancellationToken).ConfigureAwait(false);
                    throw new KaslrMtException(VmErrors.Link, refusal);
                }
            }
            catch (Exception error) when (error is KaslrMtException or IOException or OperationCanceledException)
            {
                cancellationToken.ThrowIfCancellationRequested();
                SentAway(error);
                return false;
            }

            return await take(link, header, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<string?> RefusalAsync(string? expected, MigrationHeader header, CancellationToken cancellationToken)
    {
        string name = header.Spec.Name;
        if (expected is not null && name != expected)
        {
            return $"'{expected}' is awaited, not '{Printable.Of(name)}'";
        }

        if (IncomingCheck.Problem(header.Spec) is { } problem)
        {
            return problem;
        }

        TenantTable table = await host.GetAsync(cancellationToken).ConfigureAwait(false);
        VmRecord? record = await table.Store.FindVmAsync(name, cancellationToken).ConfigureAwait(false);
        return record is null || record.Incarnation != header.Registration?.Incarnation ? $"the destination's tenant table does not know this '{name}': do both hosts use the same store?"
            : record.Host == table.Host.Id ? $"'{name}' is on this host already: both sides have the identity {table.Host.Id}"
            : null;
    }

    private void SentAway(Exception error) =>
        log.CallerSentAway(error is KaslrMtException known ? $"{known.Code}: {known.Message}" : "the source hung up, or said nothing");
}
