using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using KaslrMt.Tenants.Etcd.Api;

namespace KaslrMt.Tenants.Etcd;

/// <summary>A key, its value and revisions; or a key that does not exist, with revision 0.</summary>
internal readonly record struct EtcdPair(string Key, ReadOnlyMemory<byte> Value, long Modified, long Created)
{
    internal static EtcdPair None { get; } = new("", default, 0, 0);

    internal bool Exists => Modified != 0;

    /// <summary>Gets the value as ASCII text.</summary>
    internal string Text => Encoding.ASCII.GetString(Value.Span);

    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>: it is not a pair of etcd's.</exception>
    internal static EtcdPair Of(KeyValue? pair) => pair is { Key.Length: > 0, ModRevision: > 0 }
        ? new EtcdPair(pair.Key.ToStringUtf8(), pair.Value.Memory, pair.ModRevision, pair.CreateRevision)
        : throw EtcdFault.NotEtcd("a pair without a key or a revision");

    /// <summary>Reads the value as a record.</summary>
    /// <returns>The record; null when the key does not exist.</returns>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.StoreCorrupt"/>.</exception>
    internal T? Read<T>(JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return Exists ? JsonSerializer.Deserialize(Value.Span, type) ?? throw new JsonException("null") : null;
        }
        catch (Exception e) when (e is JsonException or KaslrMtException)
        {
            throw new KaslrMtException(
                TenantErrors.StoreCorrupt,
                $"etcd's key {Key} holds no record of the tenant table",
                "another program wrote to it: restore a snapshot, or delete the key",
                e);
        }
    }
}
