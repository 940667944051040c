using KaslrMt.Tenants;

namespace MemoryStore;

/// <summary>What all connections to one table share: what a database would be. All of it is read and written under <see cref="Gate"/>.</summary>
public sealed class MemoryTable
{
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _revision;

    internal Lock Gate { get; } = new();

    internal StoreSeal? Seal { get; set; }

    internal SortedDictionary<string, TenantRecord> Tenants { get; } = new(StringComparer.Ordinal);

    internal SortedDictionary<string, VmRecord> Vms { get; } = new(StringComparer.Ordinal);

    internal SortedDictionary<string, SealedKey> Keys { get; } = new(StringComparer.Ordinal);

    internal SortedDictionary<string, MemoryHost> Hosts { get; } = new(StringComparer.Ordinal);

    internal List<AuditEntry> Audit { get; } = [];

    /// <summary>Adds an entry to the audit log, and tells the watchers of the change. Called under the gate, as the last step of a change.</summary>
    internal void Commit(AuditEntry entry)
    {
        Audit.Add(entry with { Sequence = ++_revision });
        _changed.SetResult();
        _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>Returns the revision, and a task that completes with the next change.</summary>
    internal (long Revision, Task Changed) Observe()
    {
        lock (Gate)
        {
            return (_revision, _changed.Task);
        }
    }
}

/// <summary>A host, and when its lease ends.</summary>
internal sealed record MemoryHost(HostIdentity Identity, DateTimeOffset Joined, DateTimeOffset LeaseEnd);
