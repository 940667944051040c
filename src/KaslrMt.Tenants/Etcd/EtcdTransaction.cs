using Google.Protobuf;
using KaslrMt.Tenants.Etcd.Api;

namespace KaslrMt.Tenants.Etcd;

/// <summary>A transaction: if all of these keys are as they were read, all of this happens, else nothing.</summary>
internal sealed class EtcdTransaction
{
    internal TxnRequest Request { get; } = new();

    /// <summary>The key was last changed at this revision; 0: it does not exist.</summary>
    internal EtcdTransaction Unchanged(string key, long revision)
    {
        Request.Compare.Add(new Compare
        {
            Key = ByteString.CopyFromUtf8(key),
            Target = Compare.Types.CompareTarget.Mod,
            Result = Compare.Types.CompareResult.Equal,
            ModRevision = revision,
        });
        return this;
    }

    internal EtcdTransaction Put(string key, ReadOnlySpan<byte> value, long lease = 0)
    {
        var put = new PutRequest { Key = ByteString.CopyFromUtf8(key), Value = ByteString.CopyFrom(value), Lease = lease };
        Request.Success.Add(new RequestOp { RequestPut = put });
        return this;
    }

    internal EtcdTransaction Delete(string key)
    {
        Request.Success.Add(new RequestOp { RequestDeleteRange = new DeleteRangeRequest { Key = ByteString.CopyFromUtf8(key) } });
        return this;
    }

    internal EtcdTransaction Read(string key)
    {
        Request.Success.Add(new RequestOp { RequestRange = EtcdRange.One(key) });
        return this;
    }

    internal EtcdTransaction ReadPrefix(string prefix)
    {
        Request.Success.Add(new RequestOp { RequestRange = EtcdRange.Between(prefix, EtcdRange.EndOf(prefix)) });
        return this;
    }

    /// <summary>Reads a key when the comparison fails, to tell why.</summary>
    internal EtcdTransaction ElseRead(string key)
    {
        Request.Failure.Add(new RequestOp { RequestRange = EtcdRange.One(key) });
        return this;
    }
}

/// <summary>A transaction's answer.</summary>
/// <param name="Succeeded">Whether the comparison held.</param>
/// <param name="Revision">The store's revision.</param>
/// <param name="Ranges">What its reads found, in their order.</param>
internal sealed record EtcdAnswer(bool Succeeded, long Revision, IReadOnlyList<List<EtcdPair>> Ranges)
{
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>: it is not an answer of etcd's.</exception>
    internal static EtcdAnswer Of(TxnResponse answer) => new(
        answer.Succeeded, EtcdRange.RevisionOf(answer.Header), [.. answer.Responses.Select(response => response.ResponseRange).OfType<RangeResponse>().Select(EtcdRange.Pairs)]);

    /// <summary>Returns the one pair of a read of one key.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>: the read was not answered.</exception>
    internal EtcdPair One(int index) => index >= Ranges.Count ? throw EtcdFault.NotEtcd("a read without its answer") : Ranges[index] is [EtcdPair pair, ..] ? pair : EtcdPair.None;
}

/// <summary>Requests for keys of the table, and the pairs of the answers.</summary>
internal static class EtcdRange
{
    internal static RangeRequest One(string key) => new() { Key = ByteString.CopyFromUtf8(key) };

    internal static RangeRequest Between(string from, string end, int limit = 0) =>
        new() { Key = ByteString.CopyFromUtf8(from), RangeEnd = ByteString.CopyFromUtf8(end), Limit = limit };

    /// <summary>Returns the first key behind all that begin so. Our keys are ASCII, so the last character has a successor.</summary>
    internal static string EndOf(string prefix) => $"{prefix[..^1]}{(char)(prefix[^1] + 1)}";

    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>: a pair is not etcd's.</exception>
    internal static List<EtcdPair> Pairs(RangeResponse range) => [.. range.Kvs.Select(EtcdPair.Of)];

    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>: there is none.</exception>
    internal static long RevisionOf(ResponseHeader? header) => header is { Revision: > 0 } ? header.Revision : throw EtcdFault.NotEtcd("an answer without a revision");
}
