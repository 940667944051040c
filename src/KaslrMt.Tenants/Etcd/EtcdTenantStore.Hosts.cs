using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace KaslrMt.Tenants.Etcd;

public sealed partial class EtcdTenantStore
{
    private const int RegisterAttempts = 20;
    private readonly ConcurrentDictionary<string, long> _leases = [];

    /// <inheritdoc/>
    public async Task<IReadOnlyList<HostRecord>> HostsAsync(CancellationToken cancellationToken = default)
    {
        EtcdAnswer answer = await _client.TransactAsync(
            new EtcdTransaction().ReadPrefix(_keys.Hosts).ReadPrefix(_keys.Leases), cancellationToken).ConfigureAwait(false);
        HashSet<string> alive = [.. answer.Ranges[1].Select(pair => pair.Key[_keys.Leases.Length..])];
        return [.. answer.Ranges[0].Select(pair => pair.Read(EtcdJson.Default.HostRecord)!).Select(host => host with { Alive = alive.Contains(host.Id) })];
    }

    /// <summary>Keeps the host's lease alive; all its processes share one.</summary>
    /// <inheritdoc/>
    public async Task RenewHostAsync(HostIdentity host, TimeSpan lease, Actor actor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(host);
        if (_leases.TryGetValue(host.Id, out long known) && await _client.KeepAliveAsync(known, cancellationToken).ConfigureAwait(false))
        {
            return;
        }

        for (int attempt = 0; attempt < RegisterAttempts; attempt++)
        {
            if (await RegisterAsync(host, lease, actor, cancellationToken).ConfigureAwait(false) is { } taken)
            {
                _leases[host.Id] = taken;
                return;
            }
        }

        throw new KaslrMtException(TenantErrors.EtcdContended, $"host {host.Id} could not take a lease: others of it came first, and lost theirs", "try again");
    }

    /// <inheritdoc/>
    public async Task RemoveHostAsync(string host, Actor actor, CancellationToken cancellationToken = default)
    {
        for (int attempt = 0; attempt < RegisterAttempts; attempt++)
        {
            EtcdAnswer read = await _client.TransactAsync(new EtcdTransaction().Read(_keys.Host(host)).Read(_keys.Lease(host)), cancellationToken).ConfigureAwait(false);
            VmRecord? vm = await VmsOfHostAsync(host, cancellationToken).FirstOrDefaultAsync(cancellationToken).ConfigureAwait(false);
            HostRules.RequireRemovable(host, read.One(0).Exists, read.One(1).Exists, vm?.Name);
            var entry = new AuditEntry { At = Now, Actor = actor, Action = "host-evict", Host = host };
            EtcdTransaction txn = new EtcdTransaction()
                .Unchanged(_keys.Host(host), read.One(0).Modified).Unchanged(_keys.Lease(host), 0)
                .Delete(_keys.Host(host)).Put(_keys.NewAudit(entry.At), Bytes(entry, EtcdJson.Default.AuditEntry));
            if ((await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false)).Succeeded)
            {
                return;
            }
        }

        throw new KaslrMtException(TenantErrors.EtcdContended, $"host {host} was changed again and again while it was to be forgotten", "try again");
    }

    /// <summary>Joins the lease that another process of this host has, or takes one.</summary>
    /// <returns>The lease; null when another process was faster.</returns>
    private async Task<long?> RegisterAsync(HostIdentity host, TimeSpan lease, Actor actor, CancellationToken cancellationToken)
    {
        EtcdAnswer read = await _client.TransactAsync(new EtcdTransaction().Read(_keys.Host(host.Id)).Read(_keys.Lease(host.Id)), cancellationToken).ConfigureAwait(false);
        HostRecord? record = read.One(0).Read(EtcdJson.Default.HostRecord);
        bool existing = read.One(1).Exists;
        long id = existing ? LeaseIn(read.One(1)) : await _client.GrantAsync(lease, cancellationToken).ConfigureAwait(false);
        if (existing && !await _client.KeepAliveAsync(id, cancellationToken).ConfigureAwait(false))
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
            txn.Put(_keys.Lease(host.Id), Encoding.ASCII.GetBytes(id.ToString("x", CultureInfo.InvariantCulture)), id);
        }

        if (record is null)
        {
            var entry = new AuditEntry { At = Now, Actor = actor, Action = "host-join", Host = host.Id, Detail = host.Name };
            txn.Put(_keys.NewAudit(entry.At), Bytes(entry, EtcdJson.Default.AuditEntry));
        }

        // A lease that was granted and lost the race has no key: it ends by itself.
        return (await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false)).Succeeded ? id : null;
    }

    private static long LeaseIn(EtcdPair pair) => long.TryParse(pair.Text, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out long lease)
        ? lease
        : throw new KaslrMtException(TenantErrors.StoreCorrupt, $"etcd's key {pair.Key} names no lease", "another program wrote to it: delete the key");
}
