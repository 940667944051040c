using KaslrMt.Tenants;
using KaslrMt.Tenants.Etcd;

namespace KaslrMt.Vms;

/// <summary>Where the tenant table is: what a caller named, the environment, the configuration file, or the default. Reading it opens no store.</summary>
internal static class StoreSettings
{
    /// <summary>The environment variable that names the store.</summary>
    public const string Variable = "KASLRMT_STORE";

    /// <summary>Gets the settings that a call asks for: option, else environment, else configuration file, else default.</summary>
    /// <param name="option">The option's value, or null.</param>
    /// <exception cref="KaslrMtException">KMT4001: the location is none; KMT9014: the configuration file is wrong.</exception>
    public static TableSettings Read(string? option)
    {
        TableSettings configured = HostConfiguration.Load(HostConfiguration.Find());
        string? environment = Environment.GetEnvironmentVariable(Variable);
        return (option ?? (string.IsNullOrEmpty(environment) ? null : environment)) is { } given
            ? configured with { Store = Checked(given) }
            : configured;
    }

    /// <summary>Whether somebody named a store, or this host's own exists: a command that could do without looks then.</summary>
    public static bool IsInUse(TableSettings settings) => settings.Store is not null || File.Exists(TenantStores.DefaultPath(settings.StateDirectory));

    /// <summary>A location that is well-formed; a database's path becomes absolute, since a supervisor works elsewhere.</summary>
    /// <exception cref="KaslrMtException">KMT4001.</exception>
    internal static string Checked(string location)
    {
        if (TenantStores.SqlitePath(location) is { } path)
        {
            return TenantStores.SqliteLocation(Path.GetFullPath(path));
        }

        if (!EtcdLocation.IsOne(location))
        {
            throw new KaslrMtException(
                TenantErrors.LocationInvalid, "the store's location is not understood", "give sqlite:PATH or etcd://HOST:PORT,HOST:PORT/PREFIX");
        }

        _ = EtcdLocation.Parse(location);
        return location;
    }
}
