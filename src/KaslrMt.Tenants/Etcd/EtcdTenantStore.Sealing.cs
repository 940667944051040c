using System.Globalization;
using KaslrMt.Layout;

namespace KaslrMt.Tenants.Etcd;

public sealed partial class EtcdTenantStore
{
    private static readonly TimeSpan CompactionInterval = TimeSpan.FromSeconds(10);
    private long _lastCompaction = -1;

    /// <inheritdoc/>
    public async Task<long> RewrapAsync(Actor actor, CancellationToken cancellationToken = default)
    {
        int version = await RenewSealAsync(cancellationToken).ConfigureAwait(false);
        long count = 0;
        await foreach (EtcdPair pair in PagesAsync(_keys.Keys, 0, cancellationToken).ConfigureAwait(false))
        {
            string tenant = pair.Key[_keys.Keys.Length..];
            SealedKey key = pair.Read(EtcdJson.Default.SealedKey)!;
            if (key.KekVersion == version)
            {
                continue;
            }

            SealedKey wrapped;
            lock (_sealing)
            {
                wrapped = _sealer!.Rewrap(tenant, key);
            }

            // A key that was purged or rewrapped meanwhile is left as it is now.
            EtcdTransaction txn = new EtcdTransaction()
                .Unchanged(pair.Key, pair.Modified).Put(pair.Key, Bytes(wrapped, EtcdJson.Default.SealedKey));
            count += (await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false)).Succeeded ? 1 : 0;
        }

        string detail = string.Create(CultureInfo.InvariantCulture, $"{count} keys under key-encryption key {version}");
        EtcdAnswer logged = await LogAsync(new AuditEntry { At = Now, Actor = actor, Action = "rewrap", Detail = detail }, cancellationToken).ConfigureAwait(false);
        await _client.CompactAsync(logged.Revision, physical: false, cancellationToken).ConfigureAwait(false);
        return count;
    }

    /// <inheritdoc/>
    public async Task ScrubAsync(CancellationToken cancellationToken = default)
    {
        EtcdAnswer now = await _client.TransactAsync(new EtcdTransaction().Read(_keys.Seal), cancellationToken).ConfigureAwait(false);
        await _client.CompactAsync(now.Revision, physical: true, cancellationToken).ConfigureAwait(false);

        await _client.DefragmentAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task CompactAfterPurgeAsync(CancellationToken cancellationToken)
    {
        long now = Environment.TickCount64;
        long last = Interlocked.Read(ref _lastCompaction);
        bool due = last < 0 || now - last > CompactionInterval.TotalMilliseconds;
        if (!_access.CompactAfterPurge || !due || Interlocked.CompareExchange(ref _lastCompaction, now, last) != last)
        {
            return;
        }

        try
        {
            EtcdAnswer read = await _client.TransactAsync(new EtcdTransaction().Read(_keys.Seal), cancellationToken).ConfigureAwait(false);
            await _client.CompactAsync(read.Revision, physical: false, cancellationToken).ConfigureAwait(false);
        }
        catch (KaslrMtException)
        {
            // The purge itself is done; the next one, or a scrub, takes the history along.
            Interlocked.Exchange(ref _lastCompaction, -1);
        }
    }

    private async Task OpenSealAsync(CancellationToken cancellationToken)
    {
        EtcdPair pair = await ReadOneAsync(_keys.Seal, cancellationToken).ConfigureAwait(false);
        if (!pair.Exists)
        {
            KeyRing ring = _ringFile.LoadOrCreate();
            StoreSeal seal = KeySealer.NewSeal(ring);
            ring.Dispose();
            EtcdTransaction txn = new EtcdTransaction().Unchanged(_keys.Seal, 0).Put(_keys.Seal, Bytes(EtcdSeal.Of(seal), EtcdJson.Default.EtcdSeal));
            await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false);

            // Ours, or that of a host that was faster.
            pair = await ReadOneAsync(_keys.Seal, cancellationToken).ConfigureAwait(false);
        }

        // First whether the keys fit: a stranger's host changes nothing.
        lock (_sealing)
        {
            Reload(ReadSeal(pair));
        }

        if (SchemaOf(pair) < EtcdSeal.NewestSchema)
        {
            await MigrateAsync(pair, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task<int> RenewSealAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            EtcdPair pair = await ReadOneAsync(_keys.Seal, cancellationToken).ConfigureAwait(false);
            StoreSeal renewed;
            lock (_sealing)
            {
                Reload(ReadSeal(pair));
                if (_sealer!.Seal.KekVersion == _ring!.Newest)
                {
                    return _ring.Newest;
                }

                renewed = _sealer.Renewed();
            }

            EtcdTransaction txn = new EtcdTransaction()
                .Unchanged(_keys.Seal, pair.Modified).Put(_keys.Seal, Bytes(EtcdSeal.Of(renewed), EtcdJson.Default.EtcdSeal));
            await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false);
        }
    }

    private SealedKey NewKey(TenantRecord tenant, StoreSeal seal)
    {
        using TenantKey drawn = _hooks.NewKey();
        lock (_sealing)
        {
            Follow(seal);
            return _sealer!.SealKey(tenant.Name, tenant.Generation, drawn);
        }
    }

    private TenantKey OpenKey(string tenant, SealedKey key, StoreSeal seal)
    {
        lock (_sealing)
        {
            Follow(seal);
            if (!_ring!.Versions.Contains(key.KekVersion))
            {
                Reload(seal);
            }

            return _sealer!.OpenKey(tenant, key);
        }
    }

    /// <summary>Follows a rotation that another process made.</summary>
    private void Follow(StoreSeal seal)
    {
        if (_sealer!.Seal.KekVersion != seal.KekVersion)
        {
            Reload(seal);
        }
    }

    private void Reload(StoreSeal seal)
    {
        KeyRing ring = _ringFile.Load();
        try
        {
            var sealer = new KeySealer(ring, seal);
            _sealer?.Dispose();
            _ring?.Dispose();
            (_ring, _sealer) = (ring, sealer);
        }
        catch
        {
            ring.Dispose();
            throw;
        }
    }

    private StoreSeal ReadSeal(EtcdPair pair)
    {
        EtcdSeal seal = pair.Read(EtcdJson.Default.EtcdSeal) ?? throw new KaslrMtException(
            TenantErrors.StoreCorrupt, $"the tenant table in {_location} has lost its seal", "another program deleted it: restore an etcd snapshot");
        return seal.Schema <= EtcdSeal.NewestSchema ? seal.Seal : throw new KaslrMtException(
            TenantErrors.StoreNewer,
            string.Create(CultureInfo.InvariantCulture, $"the tenant table in {_location} has version {seal.Schema}, this program knows up to {EtcdSeal.NewestSchema}"),
            "use the kaslrmt that wrote it, or a newer one");
    }
}
