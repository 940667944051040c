using KaslrMt.Tenants.Etcd;
using KaslrMt.Tenants.Sqlite;

namespace KaslrMt.Tenants;

/// <summary>Opens the store that a location names.</summary>
public static class TenantStores
{
    private const string SqliteScheme = "sqlite:";

    /// <summary>Opens it, creating it where it is missing.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.LocationInvalid"/>; else as the store's own opening.</exception>
    public static async Task<ITenantStore> OpenAsync(TableSettings settings, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        KeyRingFile keys = KeyRingFile.Find(settings.StateDirectory, settings.KeyFile);
        string location = settings.Store ?? $"{SqliteScheme}{Path.Combine(settings.StateDirectory, "tenants.db")}";
        if (location.StartsWith(SqliteScheme, StringComparison.Ordinal) && location.Length > SqliteScheme.Length)
        {
            return SqliteTenantStore.Open(location[SqliteScheme.Length..], keys);
        }

        if (EtcdLocation.IsOne(location))
        {
            return await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(location), settings.Etcd, keys, cancel).ConfigureAwait(false);
        }

        throw new KaslrMtException(
            TenantErrors.LocationInvalid, "the store's location is not understood", "give sqlite:PATH or etcd://HOST:PORT,HOST:PORT/PREFIX");
    }
}
