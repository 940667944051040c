using System.Runtime.CompilerServices;
using Google.Protobuf;
using Grpc.Core;
using KaslrMt.Tenants.Etcd.Api;

namespace KaslrMt.Tenants.Etcd;

/// <summary>The part of etcd's v3 API that the table needs, over gRPC (https://etcd.io/docs/v3.4/dev-guide/api_reference_v3/).</summary>
/// <remarks>All calls throw a <see cref="KaslrMtException"/>, 4040 to 4045, where etcd does not answer, refuses, or answers something that is not its API.</remarks>
internal sealed class EtcdClient(EtcdLocation location, EtcdAccess access) : IDisposable
{
    private static readonly TimeSpan DefragmentPatience = TimeSpan.FromMinutes(5);
    private readonly EtcdMembers _members = new(location, access);

    /// <summary>Gets how many calls were sent so far.</summary>
    internal long Calls => _members.Calls;

    public void Dispose() => _members.Dispose();

    /// <summary>Reads keys.</summary>
    internal async Task<List<EtcdPair>> RangeAsync(RangeRequest request, CancellationToken cancellationToken)
    {
        RangeResponse answer = await CallAsync((member, options) => member.KeyValues.RangeAsync(request, options).ResponseAsync, cancellationToken).ConfigureAwait(false);
        EtcdRange.RevisionOf(answer.Header);
        return EtcdRange.Pairs(answer);
    }

    internal async Task<EtcdAnswer> TransactAsync(EtcdTransaction transaction, CancellationToken cancellationToken) => EtcdAnswer.Of(
        await CallAsync((member, options) => member.KeyValues.TxnAsync(transaction.Request, options).ResponseAsync, cancellationToken).ConfigureAwait(false));

    /// <summary>Deletes the keys from one up to another, without the latter.</summary>
    /// <returns>How many there were.</returns>
    internal async Task<long> DeleteAsync(string from, string end, CancellationToken cancellationToken)
    {
        var request = new DeleteRangeRequest { Key = ByteString.CopyFromUtf8(from), RangeEnd = ByteString.CopyFromUtf8(end) };
        DeleteRangeResponse answer = await CallAsync(
            (member, options) => member.KeyValues.DeleteRangeAsync(request, options).ResponseAsync, cancellationToken).ConfigureAwait(false);
        EtcdRange.RevisionOf(answer.Header);
        return answer.Deleted;
    }

    /// <summary>Drops the history before a revision. Another process may have compacted further already.</summary>
    /// <param name="revision">The revision.</param>
    /// <param name="physical">Whether to wait until the history is out of the database.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    internal async Task CompactAsync(long revision, bool physical, CancellationToken cancellationToken)
    {
        var request = new CompactionRequest { Revision = revision, Physical = physical };
        try
        {
            await _members.CallAsync((member, options) => member.KeyValues.CompactAsync(request, options).ResponseAsync, cancellationToken).ConfigureAwait(false);
        }
        catch (EtcdFault fault) when (fault.Status != StatusCode.OutOfRange)
        {
            throw fault.ToException();
        }
        catch (EtcdFault)
        {
            // It is done.
        }
    }

    /// <summary>Gives freed pages of the members' databases back, one member after the other: a member that defragments answers nobody (etcd's maintenance guide).</summary>
    internal async Task DefragmentAsync(CancellationToken cancellationToken)
    {
        foreach (EtcdMember member in _members.All)
        {
            try
            {
                await _members.CallAsync(
                    member, (at, options) => at.Maintenance.DefragmentAsync(new DefragmentRequest(), options).ResponseAsync, DefragmentPatience, cancellationToken).ConfigureAwait(false);
            }
            catch (EtcdFault fault)
            {
                throw fault.IsPassing ? fault.ToUnreachable([member.Endpoint]) : fault.ToException();
            }
        }
    }

    /// <summary>Takes a lease.</summary>
    /// <returns>Its number, never 0.</returns>
    internal async Task<long> GrantAsync(TimeSpan lease, CancellationToken cancellationToken)
    {
        var request = new LeaseGrantRequest { TTL = (long)Math.Ceiling(lease.TotalSeconds) };
        LeaseGrantResponse answer = await CallAsync((member, options) => member.Leases.LeaseGrantAsync(request, options).ResponseAsync, cancellationToken).ConfigureAwait(false);
        return answer is { ID: not 0, Error: "" } ? answer.ID : throw EtcdFault.NotEtcd("a lease without a number");
    }

    /// <summary>Keeps a lease from ending.</summary>
    /// <returns>Whether it still was there.</returns>
    internal Task<bool> KeepAliveAsync(long lease, CancellationToken cancellationToken) => CallAsync(
        (member, options) => EtcdFault.GuardStreamAsync(() => KeepAliveAsync(member, lease, options), options.CancellationToken), cancellationToken);

    private static async Task<bool> KeepAliveAsync(EtcdMember member, long lease, CallOptions options)
    {
        using AsyncDuplexStreamingCall<LeaseKeepAliveRequest, LeaseKeepAliveResponse> call = member.Leases.LeaseKeepAlive(options);
        await call.RequestStream.WriteAsync(new LeaseKeepAliveRequest { ID = lease }, options.CancellationToken).ConfigureAwait(false);
        await call.RequestStream.CompleteAsync().ConfigureAwait(false);
        return await call.ResponseStream.MoveNext(options.CancellationToken).ConfigureAwait(false)
            ? call.ResponseStream.Current.TTL > 0
            : throw EtcdFault.NotEtcd("a lease renewed without an answer");
    }

    /// <summary>Tells of changes from a revision on, at one member. Ends when the connection does, or when nothing was told for the access's time.</summary>
    /// <param name="prefix">The beginning of the keys.</param>
    /// <param name="from">The first revision.</param>
    /// <param name="cancellationToken">Ends it, with an <see cref="OperationCanceledException"/>.</param>
    internal async IAsyncEnumerable<WatchResponse> WatchAsync(string prefix, long from, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        silence.CancelAfter(access.WatchSilence);
        using AsyncDuplexStreamingCall<WatchRequest, WatchResponse>? call = await OrBrokenAsync(OpenAsync).ConfigureAwait(false);
        while (call is not null && await OrBrokenAsync(NextAsync).ConfigureAwait(false) is { } response)
        {
            silence.CancelAfter(access.WatchSilence);
            if (response.Canceled)
            {
                _members.ForgetToken();
            }

            yield return response;
        }

        async Task<AsyncDuplexStreamingCall<WatchRequest, WatchResponse>?> OpenAsync()
        {
            var opened = await _members.StreamAsync((member, options) => member.Watches.Watch(options), silence.Token).ConfigureAwait(false);
            try
            {
                WatchCreateRequest create = new()
                {
                    Key = ByteString.CopyFromUtf8(prefix),
                    RangeEnd = ByteString.CopyFromUtf8(EtcdRange.EndOf(prefix)),
                    StartRevision = from,
                };
                await opened.RequestStream.WriteAsync(new WatchRequest { CreateRequest = create }, silence.Token).ConfigureAwait(false);
                return opened;
            }
            catch
            {
                opened.Dispose();
                throw;
            }
        }

        async Task<WatchResponse?> NextAsync() => await call!.ResponseStream.MoveNext(silence.Token).ConfigureAwait(false) ? call.ResponseStream.Current : null;

        // The caller's own cancellation goes through; a silence that lasted too long is a broken connection.
        async Task<T?> OrBrokenAsync<T>(Func<Task<T?>> step)
            where T : class
        {
            try
            {
                return await EtcdFault.GuardStreamAsync(step, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is EtcdFault or OperationCanceledException)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (e is EtcdFault { Status: StatusCode.Unauthenticated })
                {
                    _members.ForgetToken();
                }

                return null;
            }
        }
    }

    private async Task<T> CallAsync<T>(Func<EtcdMember, CallOptions, Task<T>> call, CancellationToken cancellationToken)
    {
        try
        {
            return await _members.CallAsync(call, cancellationToken).ConfigureAwait(false);
        }
        catch (EtcdFault fault)
        {
            throw fault.ToException();
        }
    }
}
