using System.Runtime.CompilerServices;
using KaslrMt.Tenants.Etcd.Api;

namespace KaslrMt.Tenants.Etcd;

public sealed partial class EtcdTenantStore
{
    private static readonly TimeSpan WatchPause = TimeSpan.FromMilliseconds(200);

    /// <summary>
    /// Tells of changes as they come. A watch that breaks, or is silent for long, is taken up at the next endpoint from the revision it was at; where
    /// that was compacted away, the watcher is told to list again.
    /// </summary>
    /// <inheritdoc/>
    public async IAsyncEnumerable<TableChange> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        long next = 0;
        bool begun = false;
        while (true)
        {
            while (next == 0)
            {
                if (await RevisionAsync(patient: begun, cancellationToken).ConfigureAwait(false) is { } now)
                {
                    (next, begun) = (now + 1, true);
                    yield return TableChange.Relist(now);
                }
            }

            await foreach (WatchStep step in StreamAsync(next, cancellationToken).ConfigureAwait(false))
            {
                next = step.Next;
                if (step.Change is { } change)
                {
                    yield return change;
                }
            }

            await Task.Delay(WatchPause, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Returns the store's revision. A watch that has begun outlasts a cluster that is away: null then, to ask again.</summary>
    private async Task<long?> RevisionAsync(bool patient, CancellationToken cancellationToken)
    {
        try
        {
            return (await _client.TransactAsync(new EtcdTransaction().Read(_keys.Seal), cancellationToken).ConfigureAwait(false)).Revision;
        }
        catch (KaslrMtException error) when (patient && error.Code == TenantErrors.EtcdUnreachable)
        {
            return null;
        }
    }

    /// <summary>The revision at which a watch goes on, 0 for a new listing, and the change that it tells.</summary>
    private readonly record struct WatchStep(long Next, TableChange? Change);

    /// <summary>One connection's worth of a watch; ends when that does, or is silent for too long.</summary>
    private async IAsyncEnumerable<WatchStep> StreamAsync(long next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (WatchResponse response in _client.WatchAsync(_keys.All, next, cancellationToken).ConfigureAwait(false))
        {
            if (response.CompactRevision > 0)
            {
                yield return new WatchStep(0, null);
                yield break;
            }

            if (response.Canceled)
            {
                yield break;
            }

            // Events of one revision come in one answer, so a watch never goes on in the middle of a transaction.
            foreach (Event changed in response.Events)
            {
                EtcdPair pair = EtcdPair.Of(changed.Kv);
                next = Math.Max(next, pair.Modified + 1);
                yield return new WatchStep(next, ChangeOf(pair));
            }
        }
    }

    private TableChange? ChangeOf(EtcdPair pair)
    {
        (string Prefix, TableChangeKind Kind)[] kinds =
        [
            (_keys.Tenants, TableChangeKind.Tenant), (_keys.Vms, TableChangeKind.Vm), (_keys.Hosts, TableChangeKind.Host), (_keys.Leases, TableChangeKind.Host),
        ];
        foreach ((string prefix, TableChangeKind kind) in kinds)
        {
            if (pair.Key.StartsWith(prefix, StringComparison.Ordinal))
            {
                return new TableChange(pair.Modified, kind, pair.Key[(pair.Key.LastIndexOf('/') + 1)..]);
            }
        }

        return null;
    }
}
