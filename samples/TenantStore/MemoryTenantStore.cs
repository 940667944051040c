using KaslrMt;
using KaslrMt.Layout;
using KaslrMt.Tenants;

namespace MemoryStore;

/// <summary>A store of one's own: the table in this process's memory, gone with it. Several may be opened on one <see cref="MemoryTable"/>, as several processes would.</summary>
public sealed partial class MemoryTenantStore : ITenantStore
{
    private readonly MemoryTable _table;
    private readonly KeyRingFile _keys;
    private readonly Func<TenantKey> _newKey;
    private readonly Action? _collided;
    private KeyRing _ring;
    private KeySealer _sealer;

    private MemoryTenantStore(MemoryTable table, KeyRingFile keys, Func<TenantKey>? newKey, Action? collided)
    {
        (_table, _keys, _newKey, _collided) = (table, keys, newKey ?? TenantKey.Generate, collided);
        _ring = table.Seal is null ? keys.LoadOrCreate() : keys.Load();
        try
        {
            table.Seal ??= KeySealer.NewSeal(_ring);
            _sealer = new KeySealer(_ring, table.Seal);
        }
        catch
        {
            _ring.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Location => "memory:";

    /// <summary>Opens a store.</summary>
    /// <param name="table">The table.</param>
    /// <param name="keys">The key-encryption keys; the file is made where the table is new and has none.</param>
    /// <param name="newKey">Draws a tenant's key; null for the standard generator. For tests.</param>
    /// <param name="collided">Told when a drawn key is another tenant's, and the next one is drawn. For tests.</param>
    /// <exception cref="KaslrMtException">403x: the key-encryption keys cannot be read, or are not those of the table.</exception>
    public static MemoryTenantStore Open(MemoryTable table, KeyRingFile keys, Func<TenantKey>? newKey = null, Action? collided = null)
    {
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(keys);
        lock (table.Gate)
        {
            return new MemoryTenantStore(table, keys, newKey, collided);
        }
    }

    /// <inheritdoc/>
    public Task<Outcome> ApplyAsync(TableCommand command, Actor actor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(command);
        cancellationToken.ThrowIfCancellationRequested();
        lock (_table.Gate)
        {
            return Task.FromResult(Apply(command, actor));
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _sealer.Dispose();
        _ring.Dispose();
        return ValueTask.CompletedTask;
    }

    // All that can fail comes before the first write: a command is applied as a whole or not at all.
    private Outcome Apply(TableCommand command, Actor actor)
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        TableSlice before = Slice(command, now);
        Decision after = TenantRules.Decide(before, command, now);
        SealedKey? key = after.Tenant is { } owner ? _table.Keys.GetValueOrDefault(owner.Name) : null;
        if (after.Key == KeyEffect.Created)
        {
            key = CreateKey(after.Tenant!);
            after = after with { Tenant = after.Tenant! with { KeyId = key.KeyId } };
        }

        // Also where nothing changed: a caller that does not know whether its start arrived asks again.
        TenantKey? opened = command is StartVm or RestoreVm && key?.Generation == after.Vm!.Generation ? OpenKey(after.Tenant!.Name, key) : null;
        if (after.Changes)
        {
            Write(before, after, key);
            _table.Commit(AuditEntry.Of(before, after, actor, now));
        }

        return new Outcome(after.Tenant, after.Vm, after.Key, after.Changes, opened);
    }

    private TableSlice Slice(TableCommand command, DateTimeOffset now)
    {
        VmRecord? vm = command.VmName is { } name ? _table.Vms.GetValueOrDefault(name) : null;
        TenantRecord? tenant = (command.TenantName ?? vm?.Tenant) is { } owner ? _table.Tenants.GetValueOrDefault(owner) : null;
        bool alive = command.HostId is not { } host || (_table.Hosts.TryGetValue(host, out MemoryHost? known) && known.LeaseEnd > now);
        return new TableSlice(tenant, vm, alive);
    }

    private void Write(TableSlice before, Decision after, SealedKey? key)
    {
        if (after.Tenant is { } tenant)
        {
            _table.Tenants[tenant.Name] = tenant;
        }
        else
        {
            _table.Tenants.Remove(before.Tenant!.Name);
        }

        if (after.Vm is { } vm)
        {
            _table.Vms[vm.Name] = vm;
        }
        else if (before.Vm is { } gone)
        {
            _table.Vms.Remove(gone.Name);
        }

        switch (after.Key)
        {
            case KeyEffect.Created:
                _table.Keys[after.Tenant!.Name] = key!;
                break;
            case KeyEffect.Purged:
                _table.Keys.Remove(after.Tenant!.Name);
                break;
        }
    }

    // No two tenants have one key: fingerprints are equal exactly where keys are.
    private SealedKey CreateKey(TenantRecord tenant)
    {
        FollowRotation();
        while (true)
        {
            using TenantKey drawn = _newKey();
            SealedKey key = _sealer.SealKey(tenant.Name, tenant.Generation, drawn);
            if (!_table.Keys.Values.Any(other => other.Fingerprint.AsSpan().SequenceEqual(key.Fingerprint)))
            {
                return key;
            }

            _collided?.Invoke();
        }
    }

    private TenantKey OpenKey(string tenant, SealedKey key)
    {
        FollowRotation();
        return _sealer.OpenKey(tenant, key);
    }

    // Another connection, as another process would, may have rotated the key-encryption keys.
    private void FollowRotation()
    {
        if (_sealer.Seal.KekVersion != _table.Seal!.KekVersion)
        {
            Reload(_table.Seal);
        }
    }

    private void Reload(StoreSeal seal)
    {
        KeyRing ring = _keys.Load();
        try
        {
            var sealer = new KeySealer(ring, seal);
            _sealer.Dispose();
            _ring.Dispose();
            (_ring, _sealer) = (ring, sealer);
        }
        catch
        {
            ring.Dispose();
            throw;
        }
    }
}
