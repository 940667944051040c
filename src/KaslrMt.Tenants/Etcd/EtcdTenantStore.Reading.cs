using System.Runtime.CompilerServices;
using KaslrMt.Tenants.Etcd.Api;

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
    public async Task<TenantRecord?> FindTenantAsync(string name, CancellationToken cancellationToken = default) =>
        (await ReadOneAsync(_keys.Tenant(name), cancellationToken).ConfigureAwait(false)).Read(EtcdJson.Default.TenantRecord);

    /// <inheritdoc/>
    public async Task<VmRecord?> FindVmAsync(string name, CancellationToken cancellationToken = default)
    {
        EtcdPair owner = await ReadOneAsync(_keys.Name(name), cancellationToken).ConfigureAwait(false);
        return owner.Exists
            ? (await ReadOneAsync(_keys.Vm(owner.Text, name), cancellationToken).ConfigureAwait(false)).Read(EtcdJson.Default.VmRecord)
            : null;
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<TenantRecord> TenantsAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await foreach (EtcdPair pair in PagesAsync(_keys.Tenants, 0, cancellationToken).ConfigureAwait(false))
        {
            yield return pair.Read(EtcdJson.Default.TenantRecord)!;
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<VmRecord> VmsAsync(string? tenant = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await foreach (EtcdPair pair in PagesAsync(tenant is null ? _keys.Vms : _keys.VmsOf(tenant), 0, cancellationToken).ConfigureAwait(false))
        {
            yield return pair.Read(EtcdJson.Default.VmRecord)!;
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<AuditEntry> AuditAsync(long after = 0, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        // Keys are in the order of the hosts' clocks; the order of the changes is that of their revisions.
        while (true)
        {
            RangeRequest request = EtcdRange.Between(_keys.Audit, EtcdRange.EndOf(_keys.Audit), PageRows);
            request.MinCreateRevision = after + 1;
            (request.SortTarget, request.SortOrder) = (RangeRequest.Types.SortTarget.Create, RangeRequest.Types.SortOrder.Ascend);
            List<EtcdPair> page = await _client.RangeAsync(request, cancellationToken).ConfigureAwait(false);
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
    public async Task<long> TrimAuditAsync(DateTimeOffset before, Actor actor, CancellationToken cancellationToken = default)
    {
        string end = _keys.NewAudit(before)[..^32];
        long removed = await _client.DeleteAsync(_keys.Audit, end, cancellationToken).ConfigureAwait(false);
        await LogAsync(AuditEntry.Trimmed(removed, actor, Now), cancellationToken).ConfigureAwait(false);
        return removed;
    }

    private Task<EtcdAnswer> LogAsync(AuditEntry entry, CancellationToken cancellationToken) =>
        _client.TransactAsync(new EtcdTransaction().Put(_keys.NewAudit(entry.At), Bytes(entry, EtcdJson.Default.AuditEntry)), cancellationToken);

    /// <summary>Reads what a command needs: one round trip where it names its tenant, else two.</summary>
    private async Task<EtcdSlice> ReadAsync(TableCommand command, CancellationToken cancellationToken)
    {
        string? tenant = command.TenantName;
        if (tenant is null)
        {
            EtcdPair owner = await ReadOneAsync(_keys.Name(command.VmName!), cancellationToken).ConfigureAwait(false);
            tenant = owner.Exists ? owner.Text : "";
        }

        string vmName = command.VmName ?? "";
        EtcdTransaction txn = new EtcdTransaction()
            .Read(_keys.Seal).Read(_keys.Tenant(tenant)).Read(_keys.Key(tenant)).Read(_keys.Vm(tenant, vmName)).Read(_keys.Name(vmName));
        if (command.HostId is { } host)
        {
            txn.Read(_keys.Lease(host));
        }

        EtcdAnswer answer = await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false);
        EtcdPair seal = answer.One(0);
        EtcdPair name = answer.One(4);
        EtcdPair lease = command.HostId is null ? EtcdPair.None : answer.One(5);
        VmRecord? vm = answer.One(3).Read(EtcdJson.Default.VmRecord);
        if (vm is null && name.Exists && name.Text != tenant)
        {
            // The name is another tenant's VM's: the rules refuse by its record.
            vm = (await ReadOneAsync(_keys.Vm(name.Text, vmName), cancellationToken).ConfigureAwait(false)).Read(EtcdJson.Default.VmRecord);
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

    private async Task<EtcdPair> ReadOneAsync(string key, CancellationToken cancellationToken) =>
        await _client.RangeAsync(EtcdRange.One(key), cancellationToken).ConfigureAwait(false) is [EtcdPair pair, ..] ? pair : EtcdPair.None;

    /// <summary>All pairs under a prefix, page by page; at one revision where it is not 0.</summary>
    private async IAsyncEnumerable<EtcdPair> PagesAsync(string prefix, long revision, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string from = prefix;
        string end = EtcdRange.EndOf(prefix);
        while (true)
        {
            RangeRequest request = EtcdRange.Between(from, end, PageRows);
            request.Revision = revision;
            List<EtcdPair> page = await _client.RangeAsync(request, cancellationToken).ConfigureAwait(false);
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
}
