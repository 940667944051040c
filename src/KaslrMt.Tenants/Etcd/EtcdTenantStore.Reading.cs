using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KaslrMt.Tenants.Etcd;

public sealed partial class EtcdTenantStore
{
    private const int PageRows = 500;

    /// <summary>A slice of the table and the revisions it was read at; 0 for what does not exist.</summary>
    private sealed record EtcdSlice(
        TableSlice Slice,
        SealedKey? Key,
        StoreSeal Seal,
        string? Host,
        long TenantRevision,
        long VmRevision,
        long NameRevision,
        long LeaseRevision,
        long SealRevision);

    /// <inheritdoc/>
    public async Task<TenantRecord?> FindTenantAsync(string name, CancellationToken cancel = default) =>
        (await ReadOneAsync(_keys.Tenant(name), cancel).ConfigureAwait(false)).Read(EtcdJson.Default.TenantRecord);

    /// <inheritdoc/>
    public async Task<VmRecord?> FindVmAsync(string name, CancellationToken cancel = default)
    {
        EtcdPair owner = await ReadOneAsync(_keys.Name(name), cancel).ConfigureAwait(false);
        return owner.Exists
            ? (await ReadOneAsync(_keys.Vm(Text(owner), name), cancel).ConfigureAwait(false)).Read(EtcdJson.Default.VmRecord)
            : null;
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<TenantRecord> TenantsAsync([EnumeratorCancellation] CancellationToken cancel = default)
    {
        await foreach (EtcdPair pair in PagesAsync(_keys.Tenants, 0, cancel).ConfigureAwait(false))
        {
            yield return pair.Read(EtcdJson.Default.TenantRecord)!;
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<VmRecord> VmsAsync(string? tenant = null, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        await foreach (EtcdPair pair in PagesAsync(tenant is null ? _keys.Vms : _keys.VmsOf(tenant), 0, cancel).ConfigureAwait(false))
        {
            yield return pair.Read(EtcdJson.Default.VmRecord)!;
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<AuditEntry> AuditAsync(long after = 0, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        // Keys are in the order of the hosts' clocks; the order of the changes is that of their revisions.
        while (true)
        {
            JsonObject request = Range(_keys.Audit, EtcdTransaction.EndOf(_keys.Audit), PageRows);
            request["min_create_revision"] = $"{after + 1}";
            request["sort_target"] = "CREATE";
            request["sort_order"] = "ASCEND";
            List<EtcdPair> page = EtcdPair.In(await CallAsync(RangePath, request, cancel).ConfigureAwait(false));
            foreach (EtcdPair pair in page)
            {
                yield return pair.Read(EtcdJson.Default.AuditEntry)! with { Sequence = pair.Created };
            }

            if (page.Count < PageRows)
            {
                yield break;
            }

            after = page[^1].Created;
        }
    }

    /// <inheritdoc/>
    public async Task<long> TrimAuditAsync(DateTimeOffset before, Actor actor, CancellationToken cancel = default)
    {
        string end = _keys.NewAudit(before)[..^32];
        JsonElement answer = await CallAsync(
            "/v3/kv/deleterange",
            new JsonObject { ["key"] = EtcdTransaction.Encode(_keys.Audit), ["range_end"] = EtcdTransaction.Encode(end) },
            cancel).ConfigureAwait(false);
        long removed = EtcdPair.Number(answer, "deleted");
        await LogAsync(AuditEntry.Trimmed(removed, actor, Now), cancel).ConfigureAwait(false);
        return removed;
    }

    private Task<EtcdAnswer> LogAsync(AuditEntry entry, CancellationToken cancel) =>
        TransactAsync(new EtcdTransaction().Put(_keys.NewAudit(entry.At), Bytes(entry, EtcdJson.Default.AuditEntry)), cancel);

    /// <summary>Reads what a command needs: one round trip where it names its tenant, else two.</summary>
    private async Task<EtcdSlice> ReadAsync(TableCommand command, CancellationToken cancel)
    {
        string? tenant = command.TenantName;
        if (tenant is null)
        {
            EtcdPair owner = await ReadOneAsync(_keys.Name(command.VmName!), cancel).ConfigureAwait(false);
            tenant = owner.Exists ? Text(owner) : "";
        }

        string vmName = command.VmName ?? "";
        EtcdTransaction txn = new EtcdTransaction()
            .Read(_keys.Seal).Read(_keys.Tenant(tenant)).Read(_keys.Key(tenant)).Read(_keys.Vm(tenant, vmName)).Read(_keys.Name(vmName));
        if (command.HostId is { } host)
        {
            txn.Read(_keys.Lease(host));
        }

        EtcdAnswer answer = await TransactAsync(txn, cancel).ConfigureAwait(false);
        EtcdPair seal = answer.One(0);
        EtcdPair name = answer.One(4);
        EtcdPair lease = command.HostId is null ? EtcdPair.None : answer.One(5);
        VmRecord? vm = answer.One(3).Read(EtcdJson.Default.VmRecord);
        if (vm is null && name.Exists && Text(name) != tenant)
        {
            // The name is another tenant's VM's: the rules refuse by its record.
            vm = (await ReadOneAsync(_keys.Vm(Text(name), vmName), cancel).ConfigureAwait(false)).Read(EtcdJson.Default.VmRecord);
        }

        var slice = new TableSlice(answer.One(1).Read(EtcdJson.Default.TenantRecord), vm, command.HostId is null || lease.Exists);
        return new EtcdSlice(
            slice,
            answer.One(2).Read(EtcdJson.Default.SealedKey),
            ReadSeal(seal),
            command.HostId,
            answer.One(1).Modified,
            answer.One(3).Modified,
            name.Modified,
            lease.Modified,
            seal.Modified);
    }

    private async Task<EtcdPair> ReadOneAsync(string key, CancellationToken cancel) =>
        EtcdPair.In(await CallAsync(RangePath, new JsonObject { ["key"] = EtcdTransaction.Encode(key) }, cancel).ConfigureAwait(false)) is [EtcdPair pair, ..]
            ? pair
            : EtcdPair.None;

    /// <summary>All pairs under a prefix, page by page; at one revision where it is not 0.</summary>
    private async IAsyncEnumerable<EtcdPair> PagesAsync(string prefix, long revision, [EnumeratorCancellation] CancellationToken cancel)
    {
        string from = prefix;
        string end = EtcdTransaction.EndOf(prefix);
        while (true)
        {
            JsonObject request = Range(from, end, PageRows);
            if (revision != 0)
            {
                request["revision"] = $"{revision}";
            }

            List<EtcdPair> page = EtcdPair.In(await CallAsync(RangePath, request, cancel).ConfigureAwait(false));
            foreach (EtcdPair pair in page)
            {
                yield return pair;
            }

            if (page.Count < PageRows)
            {
                yield break;
            }

            from = $"{page[^1].Key}\0";
        }
    }

    private static JsonObject Range(string from, string end, int limit) => new()
    {
        ["key"] = EtcdTransaction.Encode(from),
        ["range_end"] = EtcdTransaction.Encode(end),
        ["limit"] = $"{limit}",
    };

    private static string Text(EtcdPair pair) => System.Text.Encoding.ASCII.GetString(pair.Value);
}
