using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KaslrMt.Tenants.Etcd;

public sealed partial class EtcdTenantStore
{
    private static readonly TimeSpan WatchPause = TimeSpan.FromMilliseconds(200);

    /// <summary>
    /// Tells of changes as they come. A watch that breaks, or is silent for long, is taken up at the next endpoint from the revision it was at; where
    /// that was compacted away, the watcher is told to list again.
    /// </summary>
    /// <inheritdoc/>
    public async IAsyncEnumerable<TableChange> WatchAsync([EnumeratorCancellation] CancellationToken cancel = default)
    {
        long next = 0;
        bool begun = false;
        while (true)
        {
            while (next == 0)
            {
                if (await RevisionAsync(patient: begun, cancel).ConfigureAwait(false) is { } now)
                {
                    (next, begun) = (now + 1, true);
                    yield return TableChange.Relist(now);
                }
            }

            await foreach (WatchStep step in StreamAsync(next, cancel).ConfigureAwait(false))
            {
                next = step.Next;
                if (step.Change is { } change)
                {
                    yield return change;
                }
            }

            await Task.Delay(WatchPause, cancel).ConfigureAwait(false);
        }
    }

    /// <summary>Where the store is. A watch that has begun outlasts a cluster that is away: null then, to ask again.</summary>
    private async Task<long?> RevisionAsync(bool patient, CancellationToken cancel)
    {
        try
        {
            return (await TransactAsync(new EtcdTransaction().Read(_keys.Seal), cancel).ConfigureAwait(false)).Revision;
        }
        catch (KaslrMtException error) when (patient && error.Code == TenantErrors.EtcdUnreachable)
        {
            return null;
        }
    }

    /// <summary>Where a watch goes on, 0 for a new listing, and what it tells.</summary>
    private readonly record struct WatchStep(long Next, TableChange? Change);

    /// <summary>One connection's worth of a watch; ends when that does, or is silent for too long.</summary>
    private async IAsyncEnumerable<WatchStep> StreamAsync(long next, [EnumeratorCancellation] CancellationToken cancel)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        silence.CancelAfter(_access.WatchSilence);
        StreamReader? reader = await OpenWatchAsync(next, silence.Token, cancel).ConfigureAwait(false);
        using (reader)
        {
            while (reader is not null && await LineAsync(reader, silence.Token, cancel).ConfigureAwait(false) is { } line)
            {
                silence.CancelAfter(_access.WatchSilence);
                using JsonDocument? document = Parse(line);
                if (document is null || EtcdClient.FaultIn(document.RootElement) is not null
                    || !document.RootElement.TryGetProperty("result", out JsonElement result))
                {
                    yield break;
                }

                if (EtcdPair.Number(result, "compact_revision") > 0)
                {
                    yield return new WatchStep(0, null);
                    yield break;
                }

                if (result.TryGetProperty("canceled", out JsonElement canceled) && canceled.GetBoolean())
                {
                    yield break;
                }

                foreach (WatchStep step in Changes(result, next))
                {
                    next = step.Next;
                    yield return step;
                }
            }
        }
    }

    private IEnumerable<WatchStep> Changes(JsonElement result, long next)
    {
        if (!result.TryGetProperty("events", out JsonElement events))
        {
            yield break;
        }

        // Events of one revision come in one answer, so a watch never goes on in the middle of a transaction.
        foreach (JsonElement changed in events.EnumerateArray())
        {
            EtcdPair pair = EtcdPair.Of(changed.GetProperty("kv"));
            next = Math.Max(next, pair.Modified + 1);
            yield return new WatchStep(next, ChangeOf(pair));
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

    private async Task<StreamReader?> OpenWatchAsync(long next, CancellationToken silence, CancellationToken cancel)
    {
        var request = new JsonObject
        {
            ["create_request"] = new JsonObject
            {
                ["key"] = EtcdTransaction.Encode(_keys.All),
                ["range_end"] = EtcdTransaction.Encode(EtcdTransaction.EndOf(_keys.All)),
                ["start_revision"] = $"{next}",
            },
        };
        try
        {
            HttpResponseMessage response = await _client.StreamAsync("/v3/watch", request, silence).ConfigureAwait(false);
            return new StreamReader(await response.Content.ReadAsStreamAsync(silence).ConfigureAwait(false));
        }
        catch (Exception e) when (IsBroken(e, cancel))
        {
            return null;
        }
    }

    private static async Task<string?> LineAsync(StreamReader reader, CancellationToken silence, CancellationToken cancel)
    {
        try
        {
            return await reader.ReadLineAsync(silence).ConfigureAwait(false);
        }
        catch (Exception e) when (IsBroken(e, cancel))
        {
            return null;
        }
    }

    // The caller's own cancellation goes through; a silence that lasted too long is a broken connection.
    private static bool IsBroken(Exception e, CancellationToken cancel) =>
        e is HttpRequestException or IOException or EtcdFault || (e is OperationCanceledException && !cancel.IsCancellationRequested);

    private static JsonDocument? Parse(string line)
    {
        try
        {
            return JsonDocument.Parse(line);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
