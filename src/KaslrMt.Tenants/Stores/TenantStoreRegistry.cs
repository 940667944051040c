using System.Collections.Frozen;
using KaslrMt.Tenants.Etcd;
using KaslrMt.Tenants.Sqlite;

namespace KaslrMt.Tenants;

/// <summary>Opens a store, creating it where it is missing.</summary>
/// <param name="settings">The settings; <see cref="TableSettings.Store"/> is the location, with a scheme of this opener.</param>
/// <param name="keys">The file of key-encryption keys that the store seals tenants' keys with.</param>
/// <param name="cancellationToken">Ends the attempt.</param>
/// <exception cref="KaslrMtException">The location is wrong, the store cannot be reached, or the key-encryption keys do not fit.</exception>
public delegate Task<ITenantStore> TenantStoreOpener(TableSettings settings, KeyRingFile keys, CancellationToken cancellationToken);

/// <summary>The kinds of stores that a process can open, by the scheme of their locations: SQLite and etcd, and those that a program adds.</summary>
/// <remarks>A registry does not change: <see cref="With"/> returns another one. The command <c>kaslrmt</c> and the agent know the built-in kinds only.</remarks>
public sealed class TenantStoreRegistry
{
    private readonly FrozenDictionary<string, TenantStoreOpener> _openers;

    private TenantStoreRegistry(IEnumerable<KeyValuePair<string, TenantStoreOpener>> openers) => _openers = openers.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Gets the registry of the built-in kinds: <c>sqlite:</c>, <c>etcd:</c> and <c>etcds:</c>.</summary>
    public static TenantStoreRegistry BuiltIn { get; } = new(new Dictionary<string, TenantStoreOpener>
    {
        ["sqlite"] = OpenSqlite,
        ["etcd"] = OpenEtcdAsync,
        ["etcds"] = OpenEtcdAsync,
    });

    /// <summary>Returns a registry of these kinds and one more.</summary>
    /// <param name="scheme">What stands in front of the first colon of the kind's locations: a lower-case letter, then lower-case letters, digits and <c>-</c>.</param>
    /// <param name="opener">Opens a store of this kind.</param>
    /// <exception cref="ArgumentException">The scheme is not legal, or is another kind's already.</exception>
    public TenantStoreRegistry With(string scheme, TenantStoreOpener opener)
    {
        ArgumentException.ThrowIfNullOrEmpty(scheme);
        ArgumentNullException.ThrowIfNull(opener);
        if (!char.IsAsciiLetterLower(scheme[0]) || !scheme.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '-'))
        {
            throw new ArgumentException($"'{Printable.Of(scheme, 80)}' is not a scheme: use lower-case letters, digits and '-', a letter first", nameof(scheme));
        }

        return _openers.ContainsKey(scheme)
            ? throw new ArgumentException($"there are stores of the scheme '{scheme}' already", nameof(scheme))
            : new TenantStoreRegistry(_openers.Append(KeyValuePair.Create(scheme, opener)));
    }

    /// <summary>Opens the store that the settings name, creating it and the state directory where they are missing.</summary>
    /// <param name="settings">The settings. A null location is the SQLite database of the state directory.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.LocationInvalid"/>: no kind has the location's scheme; else as the kind's own opening.</exception>
    public Task<ITenantStore> OpenAsync(TableSettings settings, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _ = StateDirectory.Ensure(settings.StateDirectory);
        string location = settings.Store ?? TenantStores.SqliteLocation(TenantStores.DefaultPath(settings.StateDirectory));
        int colon = location.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && _openers.TryGetValue(location[..colon], out TenantStoreOpener? opener)
            ? opener(settings with { Store = location }, KeyRingFile.Find(settings.StateDirectory, settings.KeyFile), cancellationToken)
            : throw NotUnderstood();
    }

    private static Task<ITenantStore> OpenSqlite(TableSettings settings, KeyRingFile keys, CancellationToken cancellationToken) =>
        Task.FromResult<ITenantStore>(SqliteTenantStore.Open(TenantStores.SqlitePath(settings.Store!) ?? throw NotUnderstood(), keys));

    private static async Task<ITenantStore> OpenEtcdAsync(TableSettings settings, KeyRingFile keys, CancellationToken cancellationToken) =>
        EtcdLocation.IsOne(settings.Store!)
            ? await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(settings.Store!), settings.Etcd, keys, cancellationToken).ConfigureAwait(false)
            : throw NotUnderstood();

    private static KaslrMtException NotUnderstood() => new(
        TenantErrors.LocationInvalid, "the store's location is not understood", "give sqlite:PATH or etcd://HOST:PORT,HOST:PORT/PREFIX");
}
