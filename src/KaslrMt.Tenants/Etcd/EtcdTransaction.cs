using System.Text;
using System.Text.Json.Nodes;

namespace KaslrMt.Tenants.Etcd;

/// <summary>A transaction: if all of these keys are as they were read, all of this happens, else nothing.</summary>
internal sealed class EtcdTransaction
{
    private readonly JsonArray _compare = [];
    private readonly JsonArray _success = [];
    private readonly JsonArray _failure = [];

    /// <summary>The request for <c>/v3/kv/txn</c>.</summary>
    internal JsonObject Request => new() { ["compare"] = _compare, ["success"] = _success, ["failure"] = _failure };

    /// <summary>The key was last changed at this revision; 0: it does not exist.</summary>
    internal EtcdTransaction Unchanged(string key, long revision)
    {
        _compare.Add(new JsonObject { ["key"] = Encode(key), ["target"] = "MOD", ["result"] = "EQUAL", ["mod_revision"] = $"{revision}" });
        return this;
    }

    internal EtcdTransaction Put(string key, ReadOnlySpan<byte> value, long lease = 0)
    {
        var put = new JsonObject { ["key"] = Encode(key), ["value"] = Convert.ToBase64String(value) };
        if (lease != 0)
        {
            put["lease"] = $"{lease}";
        }

        _success.Add(new JsonObject { ["request_put"] = put });
        return this;
    }

    internal EtcdTransaction Delete(string key)
    {
        _success.Add(new JsonObject { ["request_delete_range"] = new JsonObject { ["key"] = Encode(key) } });
        return this;
    }

    internal EtcdTransaction Read(string key)
    {
        _success.Add(new JsonObject { ["request_range"] = new JsonObject { ["key"] = Encode(key) } });
        return this;
    }

    internal EtcdTransaction ReadPrefix(string prefix)
    {
        _success.Add(new JsonObject { ["request_range"] = new JsonObject { ["key"] = Encode(prefix), ["range_end"] = Encode(EndOf(prefix)) } });
        return this;
    }

    /// <summary>Reads a key when the comparison fails, to tell why.</summary>
    internal EtcdTransaction ElseRead(string key)
    {
        _failure.Add(new JsonObject { ["request_range"] = new JsonObject { ["key"] = Encode(key) } });
        return this;
    }

    internal static string Encode(string key) => Convert.ToBase64String(Encoding.UTF8.GetBytes(key));

    internal static string Decode(string key) => Encoding.UTF8.GetString(Convert.FromBase64String(key));

    /// <summary>The first key behind all that begin so. Our keys are ASCII, so the last character has a successor.</summary>
    internal static string EndOf(string prefix) => $"{prefix[..^1]}{(char)(prefix[^1] + 1)}";
}
