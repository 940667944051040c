using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using KaslrMt.Layout;

namespace KaslrMt.Tenants.Etcd;

/// <summary>The table in an etcd cluster: many hosts, any number of processes.</summary>
/// <remarks>
/// <para>A change is two round trips: one transaction reads the slice, a second writes it if nothing of it has changed since (by revisions, never by
/// etcd's locks). The loser of a race reads again. A start needs two, a stop that does not know its tenant three.</para>
/// <para>When an answer is lost the write is sent again and does nothing the second time; the outcome then says that nothing changed.</para>
/// <para>A purged key is deleted and etcd's history compacted. etcd does not overwrite: the sealed key stays in free pages of its database until a
/// defragmentation (<see cref="ScrubAsync"/>), and in its log and snapshots until it drops those.</para>
/// </remarks>
public sealed partial class EtcdTenantStore : ITenantStore
{
    private const int LongestPause = 250;

    private readonly EtcdClient _client;
    private readonly EtcdLocation _location;
    private readonly EtcdAccess _access;
    private readonly EtcdKeys _keys;
    private readonly KeyRingFile _ringFile;
    private readonly StoreHooks _hooks;
    private readonly Lock _sealing = new();
    private KeyRing? _ring;
    private KeySealer? _sealer;

    private EtcdTenantStore(EtcdLocation location, EtcdAccess access, KeyRingFile keys, StoreHooks hooks)
    {
        (_location, _access, _ringFile, _hooks) = (location, access, keys, hooks);
        _keys = new EtcdKeys(location.Prefix);
        _client = new EtcdClient(location, access);
    }

    /// <inheritdoc/>
    public string Location => _location.ToString();

    /// <summary>Gets the number of round trips so far.</summary>
    internal long RoundTrips => _client.Calls;

    private DateTimeOffset Now => DateTimeOffset.FromUnixTimeMilliseconds(_hooks.Clock.GetUtcNow().ToUnixTimeMilliseconds());

    /// <summary>Opens the table, creating it where it is missing.</summary>
    /// <exception cref="KaslrMtException">404x: etcd cannot be reached or refuses; 403x: the key-encryption keys do not fit; 4022: newer.</exception>
    public static Task<EtcdTenantStore> OpenAsync(EtcdLocation location, EtcdAccess access, KeyRingFile keys, CancellationToken cancellationToken = default) =>
        OpenAsync(location, access, keys, StoreHooks.None, cancellationToken);

    internal static async Task<EtcdTenantStore> OpenAsync(
        EtcdLocation location, EtcdAccess access, KeyRingFile keys, StoreHooks hooks, CancellationToken cancellationToken = default)
    {
        var store = new EtcdTenantStore(location, access, keys, hooks);
        try
        {
            await store.OpenSealAsync(cancellationToken).ConfigureAwait(false);
            return store;
        }
        catch
        {
            await store.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task<Outcome> ApplyAsync(TableCommand command, Actor actor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(command);
        _hooks.Step("begun");
        long deadline = Environment.TickCount64 + (long)_access.Patience.TotalMilliseconds;
        for (int attempt = 0; attempt == 0 || Environment.TickCount64 < deadline; attempt++)
        {
            if (attempt > 0)
            {
                // Losers of a race wait a random while, longer each time, so that they do not meet again.
                int longest = Math.Min(LongestPause, 4 << Math.Min(attempt, 6));
                await Task.Delay(RandomNumberGenerator.GetInt32(1, longest), cancellationToken).ConfigureAwait(false);
            }

            EtcdSlice slice = await ReadAsync(command, cancellationToken).ConfigureAwait(false);
            if (attempt > 0 && command is RemoveTenant && slice.Slice.Tenant is null)
            {
                // Our first attempt arrived though its answer did not.
                return new Outcome(null, null, KeyEffect.None, Changed: false, TenantKey: null);
            }

            command = Pinned(command, slice);
            if (await TryApplyAsync(command, slice, actor, cancellationToken).ConfigureAwait(false) is { } outcome)
            {
                return outcome;
            }
        }

        throw new KaslrMtException(
            TenantErrors.EtcdContended, "others changed the same tenant again and again, and this change never got its turn", "try again; nothing was changed");
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        _sealer?.Dispose();
        _ring?.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>A stop that is tried again must not hit a VM that took the name in the meantime.</summary>
    private static TableCommand Pinned(TableCommand command, EtcdSlice slice) =>
        command is StopVm { Incarnation: null } stop && slice.Slice.Vm is { } vm ? stop with { Incarnation = vm.Incarnation } : command;

    private async Task<Outcome?> TryApplyAsync(TableCommand command, EtcdSlice read, Actor actor, CancellationToken cancellationToken)
    {
        DateTimeOffset now = Now;
        TableSlice before = read.Slice;
        Decision after = TenantRules.Decide(before, command, now);
        SealedKey? key = read.Key;
        if (after.Key == KeyEffect.Created)
        {
            key = NewKey(after.Tenant!, read.Seal);
            after = after with { Tenant = after.Tenant! with { KeyId = key.KeyId } };
        }

        // Before anything is written: a key that does not open must not have a VM.
        bool wantsKey = command is StartVm or RestoreVm && key?.Generation == after.Vm!.Generation;
        TenantKey? opened = wantsKey ? OpenKey(after.Tenant!.Name, key!, read.Seal) : null;
        var outcome = new Outcome(after.Tenant, after.Vm, after.Key, after.Changes, opened);
        bool kept = false;
        try
        {
            _hooks.Step("written");
            kept = !after.Changes || await CommitAsync(read, after, key, AuditEntry.Of(before, after, actor, now), cancellationToken).ConfigureAwait(false);
            if (!kept)
            {
                return null;
            }

            kept = false;
            _hooks.Step("committed");
            if (after.Key == KeyEffect.Purged)
            {
                await CompactAfterPurgeAsync(cancellationToken).ConfigureAwait(false);
            }

            _hooks.Step("done");
            kept = true;
            return outcome;
        }
        finally
        {
            if (!kept)
            {
                outcome.Dispose();
            }
        }
    }

    private async Task<bool> CommitAsync(EtcdSlice read, Decision after, SealedKey? key, AuditEntry entry, CancellationToken cancellationToken)
    {
        TableSlice before = read.Slice;
        string tenant = (after.Tenant ?? before.Tenant)!.Name;
        EtcdTransaction txn = new EtcdTransaction().Unchanged(_keys.Tenant(tenant), read.TenantRevision);
        if (after.Tenant is null)
        {
            txn.Delete(_keys.Tenant(tenant));
        }
        else
        {
            // Written even when equal: that two changes of one tenant cannot pass each other unnoticed rests on it.
            txn.Put(_keys.Tenant(tenant), Bytes(after.Tenant, EtcdJson.Default.TenantRecord));
        }

        if ((after.Vm ?? before.Vm) is { } vm)
        {
            txn.Unchanged(_keys.Vm(vm.Tenant, vm.Name), read.VmRevision).Unchanged(_keys.Name(vm.Name), read.NameRevision);
            if (after.Vm is null)
            {
                txn.Delete(_keys.Vm(vm.Tenant, vm.Name)).Delete(_keys.Name(vm.Name));
            }
            else
            {
                txn.Put(_keys.Vm(vm.Tenant, vm.Name), Bytes(vm, EtcdJson.Default.VmRecord));
                if (read.NameRevision == 0)
                {
                    txn.Put(_keys.Name(vm.Name), System.Text.Encoding.ASCII.GetBytes(vm.Tenant));
                }
            }

            string[] was = [.. _keys.HostVms(before.Vm)];
            string[] now = [.. _keys.HostVms(after.Vm)];
            Array.ForEach([.. was.Except(now)], key => txn.Delete(key));
            Array.ForEach([.. now.Except(was)], key => txn.Put(key, System.Text.Encoding.ASCII.GetBytes(vm.Tenant)));
        }

        if (read.Host is { } host)
        {
            txn.Unchanged(_keys.Lease(host), read.LeaseRevision);
        }

        if (after.Key == KeyEffect.Created)
        {
            txn.Unchanged(_keys.Seal, read.SealRevision).Unchanged(_keys.Fingerprint(key!), 0)
                .Put(_keys.Key(tenant), Bytes(key!, EtcdJson.Default.SealedKey)).Put(_keys.Fingerprint(key!), System.Text.Encoding.ASCII.GetBytes(tenant))
                .ElseRead(_keys.Fingerprint(key!));
        }
        else if (after.Key == KeyEffect.Purged)
        {
            txn.Delete(_keys.Key(tenant)).Delete(_keys.Fingerprint(key!));
        }

        txn.Put(_keys.NewAudit(entry.At), Bytes(entry, EtcdJson.Default.AuditEntry));
        EtcdAnswer answer = await _client.TransactAsync(txn, cancellationToken).ConfigureAwait(false);
        if (!answer.Succeeded && answer.Ranges.Any(range => range.Count > 0))
        {
            _hooks.Step("collision");
        }

        return answer.Succeeded;
    }

    private static byte[] Bytes<T>(T value, JsonTypeInfo<T> type) => JsonSerializer.SerializeToUtf8Bytes(value, type);
}
