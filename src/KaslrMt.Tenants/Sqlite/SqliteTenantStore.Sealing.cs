using System.Globalization;
using KaslrMt.Layout;

namespace KaslrMt.Tenants.Sqlite;

public sealed partial class SqliteTenantStore
{
    private const long RewrapBatch = 500;

    /// <inheritdoc/>
    public Task<long> RewrapAsync(Actor actor, CancellationToken cancellationToken = default)
    {
        // First the seal, so that keys made from now on have the new version; then what is there, in short transactions.
        Guarded(() => InTransaction(() =>
        {
            RefreshSeal();
            Reload();
            if (_sealer.Seal.KekVersion != _ring.Newest)
            {
                StoreSeal renewed = _sealer.Renewed();
                Put(renewed);
                Use(renewed);
            }

            return true;
        }));
        long count = 0;
        string? next = "";
        while (next is { } after)
        {
            cancellationToken.ThrowIfCancellationRequested();
            (next, int done) = Guarded(() => InTransaction(() => RewrapPage(after)));
            count += done;
        }

        Guarded(() => InTransaction(() =>
        {
            string detail = string.Create(CultureInfo.InvariantCulture, $"{count} keys under key-encryption key {_sealer.Seal.KekVersion}");
            Log(new AuditEntry { At = _hooks.Clock.GetUtcNow(), Actor = actor, Action = "rewrap", Detail = detail });
            return true;
        }));
        Guarded(Scrub);
        return Task.FromResult(count);
    }

    /// <inheritdoc/>
    public Task ScrubAsync(CancellationToken cancellationToken = default) => Task.FromResult(Guarded(Scrub));

    private (string? Last, int Done) RewrapPage(string after)
    {
        List<(string Tenant, SealedKey Key)> page = Keys(after, RewrapBatch);
        int done = 0;
        foreach ((string tenant, SealedKey key) in page.Where(row => row.Key.KekVersion != _sealer.Seal.KekVersion))
        {
            SealedKey wrapped = _sealer.Rewrap(tenant, key);
            _sql.RewrapKey.Run(tenant, wrapped.KekVersion, wrapped.Bytes);
            done++;
        }

        return (page.Count == RewrapBatch ? page[^1].Tenant : null, done);
    }

    private List<(string Tenant, SealedKey Key)> Keys(string after, long limit) => _sql.KeyPage.All(
        row => (row.Text(0), new SealedKey(row.Long(1), row.Int(2), row.Bytes(3), row.Bytes(4))), after, limit);

    /// <summary>Cuts the log, where purged keys' pages still are, to zero. Readers can be in the way: then the next purge, or the end, does it.</summary>
    /// <returns>Whether the log was cut.</returns>
    private bool Scrub()
    {
        SQLitePCL.raw.sqlite3_busy_timeout(_database, ScrubMilliseconds);
        int result = SQLitePCL.raw.sqlite3_wal_checkpoint_v2(_database, null, SQLitePCL.raw.SQLITE_CHECKPOINT_TRUNCATE, out _, out _);
        SQLitePCL.raw.sqlite3_busy_timeout(_database, BusyMilliseconds);
        _scrubPending = result != SQLitePCL.raw.SQLITE_OK;
        return !_scrubPending;
    }

    private (KeyRing Ring, KeySealer Sealer) OpenSeal()
    {
        if (ReadSeal() is { } existing)
        {
            return OpenSeal(existing, _keys.Load());
        }

        return InTransaction(() =>
        {
            // Another process may have sealed it while this one waited.
            if (ReadSeal() is { } others)
            {
                return OpenSeal(others, _keys.Load());
            }

            KeyRing ring = _keys.LoadOrCreate();
            StoreSeal seal = KeySealer.NewSeal(ring);
            Put(seal);
            return OpenSeal(seal, ring);
        });
    }

    private static (KeyRing, KeySealer) OpenSeal(StoreSeal seal, KeyRing ring)
    {
        try
        {
            return (ring, new KeySealer(ring, seal));
        }
        catch
        {
            ring.Dispose();
            throw;
        }
    }

    /// <summary>Follows a rotation that another process made.</summary>
    private void RefreshSeal()
    {
        StoreSeal seal = ReadSeal() ?? throw SqliteFault.Damaged(_path, "its seal is missing");
        if (seal.KekVersion != _sealer.Seal.KekVersion)
        {
            Reload();
            Use(seal);
        }
    }

    private TenantKey OpenKey(string tenant, SealedKey key)
    {
        if (!_ring.Versions.Contains(key.KekVersion))
        {
            Reload();
        }

        return _sealer.OpenKey(tenant, key);
    }

    private void Reload()
    {
        StoreSeal seal = _sealer.Seal;
        (KeyRing ring, KeySealer sealer) = OpenSeal(seal, _keys.Load());
        _sealer.Dispose();
        _ring.Dispose();
        (_ring, _sealer) = (ring, sealer);
    }

    private void Use(StoreSeal seal)
    {
        KeySealer sealer = _sealer.Under(seal);
        _sealer.Dispose();
        _sealer = sealer;
    }

    private StoreSeal? ReadSeal() => _sql.FindSeal.First(
        row => new StoreSeal(row.Bytes(0) is { Length: 16 } store ? new Guid(store) : throw SqliteFault.Damaged(_path, "its seal is malformed"), row.Int(1), row.Bytes(2)));

    private void Put(StoreSeal seal) => _sql.PutSeal.Run(seal.StoreId.ToByteArray(), seal.KekVersion, seal.FingerprintKey);
}
