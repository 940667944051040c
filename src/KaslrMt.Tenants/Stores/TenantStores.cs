using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>Opens the store that a location names, of the built-in kinds.</summary>
public static class TenantStores
{
    private const string SqliteScheme = "sqlite:";

    /// <summary>Returns the database's path for a host that names no store.</summary>
    public static string DefaultPath(string stateDirectory) => Path.Combine(stateDirectory, "tenants.db");

    /// <summary>Returns the location of a database.</summary>
    public static string SqliteLocation(string path) => SqliteScheme + path;

    /// <summary>Returns the database's path in a location; null where the location is not <c>sqlite:PATH</c>.</summary>
    public static string? SqlitePath(string location)
    {
        ArgumentNullException.ThrowIfNull(location);
        return location.StartsWith(SqliteScheme, StringComparison.Ordinal) && location.Length > SqliteScheme.Length ? location[SqliteScheme.Length..] : null;
    }

    /// <summary>Opens the store, creating it where it is missing.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.LocationInvalid"/>; else as the store's own opening.</exception>
    public static Task<ITenantStore> OpenAsync(TableSettings settings, CancellationToken cancellationToken = default) =>
        TenantStoreRegistry.BuiltIn.OpenAsync(settings, cancellationToken);
}

/// <summary>The parts of a store that tests replace: the clock, the source of keys, and a call at every step, to be killed or delayed there.</summary>
internal sealed record StoreHooks
{
    internal static StoreHooks None { get; } = new();

    internal TimeProvider Clock { get; init; } = TimeProvider.System;

    internal Func<TenantKey> NewKey { get; init; } = TenantKey.Generate;

    internal Action<string> Step { get; init; } = _ => { };
}
