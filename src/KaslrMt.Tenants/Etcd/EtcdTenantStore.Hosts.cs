using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KaslrMt.Tenants.Etcd;

public sealed partial class EtcdTenantStore
{
    private const int RegisterAttempts = 20;
    private readonly ConcurrentDictionary<string, long> _leases = [];

    /// <inheritdoc/>
    public async Task<IReadOnlyList<HostRecord>> HostsAsync(CancellationToken cancel = default)
    {
        EtcdAnswer answer = await TransactAsync(
            new EtcdTransaction().ReadPrefix(_keys.Hosts).ReadPrefix(_keys.Leases), cancel).ConfigureAwait(false);
        HashSet<string> alive = [.. answer.Ranges[1].Select(pair => pair.Key[_keys.Leases.Length..])];
        return [.. answer.Ranges[0].Select(pair => pair.Read(EtcdJson.Default.HostRecord)!).Select(host => host with { Alive = alive.Contains(host.Id) })];
    }

    /// <summary>Keeps the host's lease alive; all its processes share one.</summary>
    /// <inheritdoc/>
    public async Task RenewHostAsync(HostIdentity host, TimeSpan lease, Actor actor, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(host);
        if (_leases.TryGetValue(host.Id, out long known) && await KeepAliveAsync(known, cancel).ConfigureAwait(false))
        {
            return;
        }

        for (int attempt = 0; attempt < RegisterAttempts; attempt++)
        {
            if (await RegisterAsync(host, lease, actor, cancel).ConfigureAwait(false) is { } taken)
            {
                _leases[host.Id] = taken;
                return;
            }
        }

        throw new KaslrMtException(TenantErrors.EtcdContended, $"host {host.Id} could not take a lease: others of it came first, and lost theirs", "try again");
    }

    /// <inheritdoc/>
    public async Task RemoveHostAsync(string host, Actor actor, CancellationToken cancel = default)
    {
        for (int attempt = 0; attempt < RegisterAttempts; attempt++)
        {
            EtcdAnswer read = await TransactAsync(new EtcdTransaction().Read(_keys.Host(host)).Read(_keys.Lease(host)), cancel).ConfigureAwait(false);
            VmRecord? vm = await VmsOfHostAsync(host, cancel).FirstOrDefaultAsync(cancel).ConfigureAwait(false);
            HostRules.RequireRemovable(host, read.One(0).Exists, read.One(1).Exists, vm?.Name);
            var entry = new AuditEntry { At = Now, Actor = actor, Action = "host-evict", Host = host };
            EtcdTransaction txn = new EtcdTransaction()
                .Unchanged(_keys.Host(host), read.One(0).Modified).Unchanged(_keys.Lease(host), 0)
                .Delete(_keys.Host(host)).Put(_keys.NewAudit(entry.At), Bytes(entry, EtcdJson.Default.AuditEntry));
            if ((await TransactAsync(txn, cancel).ConfigureAwait(false)).Succeeded)
            {
                return;
            }
        }

        throw new KaslrMtException(TenantErrors.EtcdContended, $"host {host} was changed again and again while it was to be forgotten", "try again");
    }

    /// <summary>Joins the lease that another process of this host has, or takes one.</summary>
    /// <returns>The lease; null when another process was faster.</returns>
    private async Task<long?> RegisterAsync(HostIdentity host, TimeSpan lease, Actor actor, CancellationToken cancel)
    {
        EtcdAnswer read = await TransactAsync(new EtcdTransaction().Read(_keys.Host(host.Id)).Read(_keys.Lease(host.Id)), cancel).ConfigureAwait(false);
        HostRecord? record = read.One(0).Read(EtcdJson.Default.HostRecord);
        bool existing = read.One(1).Exists;
        long id = existing ? EtcdShape.Read(() => Convert.ToInt64(Text(read.One(1)), 16)) : await GrantAsync(lease, cancel).ConfigureAwait(false);
        if (existing && !await KeepAliveAsync(id, cancel).ConfigureAwait(false))
        {
            return null;
        }

        HostRecord current = new() { Id = host.Id, Name = host.Name, BootId = host.BootId, Alive = false, Joined = record?.Joined ?? Now };
        if (existing && record == current)
        {
            return id;
        }

        EtcdTransaction txn = new EtcdTransaction()
            .Unchanged(_keys.Host(host.Id), read.One(0).Modified).Unchanged(_keys.Lease(host.Id), read.One(1).Modified)
            .Put(_keys.Host(host.Id), Bytes(current, EtcdJson.Default.HostRecord));
        if (!existing)
        {
            txn.Put(_keys.Lease(host.Id), System.Text.Encoding.ASCII.GetBytes(id.ToString("x", System.Globalization.CultureInfo.InvariantCulture)), id);
        }

        if (record is null)
        {
            var entry = new AuditEntry { At = Now, Actor = actor, Action = "host-join", Host = host.Id, Detail = host.Name };
            txn.Put(_keys.NewAudit(entry.At), Bytes(entry, EtcdJson.Default.AuditEntry));
        }

        // A lease that was granted and lost the race has no key: it ends by itself.
        return (await TransactAsync(txn, cancel).ConfigureAwait(false)).Succeeded ? id : null;
    }

    private async Task<long> GrantAsync(TimeSpan lease, CancellationToken cancel)
    {
        var request = new JsonObject { ["TTL"] = $"{(long)Math.Ceiling(lease.TotalSeconds)}" };
        JsonElement answer = await CallAsync("/v3/lease/grant", request, cancel).ConfigureAwait(false);
        return EtcdShape.Read(() => EtcdPair.Number(answer, "ID"));
    }

    private async Task<bool> KeepAliveAsync(long lease, CancellationToken cancel)
    {
        JsonElement answer = await CallAsync("/v3/lease/keepalive", new JsonObject { ["ID"] = $"{lease}" }, cancel).ConfigureAwait(false);
        return EtcdShape.Read(() => answer.TryGetProperty("result", out JsonElement result) && EtcdPair.Number(result, "TTL") > 0);
    }
}
