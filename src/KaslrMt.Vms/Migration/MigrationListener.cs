using System.Net.Sockets;
using System.Threading.Channels;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>
/// Those who call a host that awaits a VM. Each is listened to beside the others, so who says nothing keeps nobody out; who has not the key-encryption key
/// gets no further than here.
/// </summary>
internal sealed class MigrationListener : IAsyncDisposable
{
    /// <summary>How many are listened to at once. The oldest goes for one more: an honest one has said all within a moment.</summary>
    public const int Most = 32;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10), AcceptPause = TimeSpan.FromMilliseconds(100);

    private readonly Socket _listener;
    private readonly KeyRing _keys;
    private readonly Action<Exception> _sentAway;
    private readonly CancellationTokenSource _end = new();
    private readonly Channel<(MigrationLink Link, MigrationHeader Vm)> _known = Channel.CreateUnbounded<(MigrationLink, MigrationHeader)>();
    private readonly Task _accepting;

    /// <summary>Begins.</summary>
    /// <param name="listener">Where they call.</param>
    /// <param name="keys">The key-encryption keys, which the callers must have too.</param>
    /// <param name="sentAway">Told of each that is none of us, by several threads.</param>
    public MigrationListener(Socket listener, KeyRing keys, Action<Exception> sentAway)
    {
        (_listener, _keys, _sentAway) = (listener, keys, sentAway);
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>The next who has the key-encryption key, and the VM it brings. The link is the caller's.</summary>
    public ValueTask<(MigrationLink Link, MigrationHeader Vm)> NextAsync(CancellationToken cancellationToken) => _known.Reader.ReadAsync(cancellationToken);

    /// <summary>Hangs up on all who were not taken.</summary>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _accepting.ConfigureAwait(false);
        while (_known.Reader.TryRead(out (MigrationLink Link, MigrationHeader Vm) late))
        {
            late.Link.Dispose();
        }

        _end.Dispose();
    }

    private async Task AcceptAsync()
    {
        var callers = new Queue<(Task Greeting, CancellationTokenSource Leave)>();
        while (!_end.IsCancellationRequested)
        {
            try
            {
                Socket socket = await _listener.AcceptAsync(_end.Token).ConfigureAwait(false);
                var leave = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
                callers.Enqueue((GreetAsync(socket, leave.Token), leave));
                while (callers.TryPeek(out (Task Greeting, CancellationTokenSource Leave) oldest) && (oldest.Greeting.IsCompleted || callers.Count > Most))
                {
                    await SendAwayAsync(callers.Dequeue()).ConfigureAwait(false);
                }
            }
            catch (SocketException)
            {
                // A caller that hung up at once, or no more descriptors for now.
                await Task.WhenAny(Task.Delay(AcceptPause, _end.Token)).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }

        foreach ((Task, CancellationTokenSource) caller in callers)
        {
            await SendAwayAsync(caller).ConfigureAwait(false);
        }
    }

    private static async Task SendAwayAsync((Task Greeting, CancellationTokenSource Leave) caller)
    {
        await caller.Leave.CancelAsync().ConfigureAwait(false);
        await caller.Greeting.ConfigureAwait(false);
        caller.Leave.Dispose();
    }

    private async Task GreetAsync(Socket socket, CancellationToken cancellationToken)
    {
        MigrationLink? link = null;
        try
        {
            link = await MigrationLink.FromAsync(new NetworkStream(socket, ownsSocket: true), _keys, cancellationToken).ConfigureAwait(false);
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(Patience);
            (LinkFrame kind, byte[] bytes) = await link.ReceiveAsync(patience.Token).ConfigureAwait(false);
            MigrationHeader vm = kind == LinkFrame.Vm ? MigrationHeader.Of(bytes) : throw new KaslrMtException(VmErrors.Link, "the source sends something else than a VM");
            link = _known.Writer.TryWrite((link, vm)) ? null : link;
        }
        catch (Exception error) when (error is KaslrMtException or IOException or OperationCanceledException)
        {
            if (!_end.IsCancellationRequested)
            {
                _sentAway(error);
            }
        }
        finally
        {
            link?.Dispose();
        }
    }
}
