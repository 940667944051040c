using System.Net.Sockets;
using System.Threading.Channels;

namespace KaslrMt.Vms;

/// <summary>Carries QEMU's migration stream over a link, both ways; what else comes over the link goes to a queue.</summary>
internal sealed class LinkRelay : IAsyncDisposable
{
    private const int BlockSize = 256 << 10;

    private readonly MigrationLink _link;
    private readonly Stream _qemu;
    private readonly CancellationTokenSource _end = new();
    private readonly Channel<(LinkFrame Kind, byte[] Bytes)> _words = Channel.CreateUnbounded<(LinkFrame, byte[])>();
    private readonly Task _sending;
    private readonly Task _receiving;

    /// <summary>Begins.</summary>
    /// <param name="link">To the other host.</param>
    /// <param name="qemu">To this host's QEMU; disposed of with this.</param>
    public LinkRelay(MigrationLink link, Stream qemu)
    {
        (_link, _qemu) = (link, qemu);
        _sending = Task.Run(SendAsync);
        _receiving = Task.Run(ReceiveAsync);
    }

    /// <summary>The next that is not QEMU's.</summary>
    /// <exception cref="KaslrMtException">KMT9018: the link broke.</exception>
    public async Task<(LinkFrame Kind, byte[] Bytes)> NextAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _words.Reader.ReadAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (ChannelClosedException closed)
        {
            throw closed.InnerException is KaslrMtException broken
                ? new KaslrMtException(broken.Code, broken.Problem, broken.Remedy, closed)
                : new KaslrMtException(VmErrors.Link, "this side hung up", inner: closed);
        }
    }

    /// <summary>Ends both ways.</summary>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _qemu.DisposeAsync().ConfigureAwait(false);
        await Task.WhenAll(_sending, _receiving).ConfigureAwait(false);
        _end.Dispose();
    }

    private async Task SendAsync()
    {
        byte[] block = new byte[BlockSize];
        try
        {
            int read;
            do
            {
                read = await _qemu.ReadAsync(block, _end.Token).ConfigureAwait(false);
                await _link.SendAsync(LinkFrame.State, block.AsMemory(0, read), _end.Token).ConfigureAwait(false);
            }
            while (read > 0);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // QEMU hung up, or the link broke, which the other direction notices too.
        }
    }

    private async Task ReceiveAsync()
    {
        bool listens = true;
        try
        {
            while (true)
            {
                (LinkFrame kind, byte[] bytes) = await _link.ReceiveAsync(_end.Token).ConfigureAwait(false);
                if (kind != LinkFrame.State)
                {
                    _words.Writer.TryWrite((kind, bytes));
                }
                else if (listens)
                {
                    listens = await GiveAsync(bytes).ConfigureAwait(false);
                }
            }
        }
        catch (KaslrMtException broken)
        {
            _words.Writer.TryComplete(broken);

            // QEMU at either end must not wait for what never comes.
            await _qemu.DisposeAsync().ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _words.Writer.TryComplete();
        }
    }

    // QEMU closes its end as soon as it has all; what may still come is of no use to it.
    private async Task<bool> GiveAsync(byte[] bytes)
    {
        try
        {
            await _qemu.WriteAsync(bytes, _end.Token).ConfigureAwait(false);
            if (bytes.Length == 0 && _qemu is NetworkStream stream)
            {
                stream.Socket.Shutdown(SocketShutdown.Send);
                return false;
            }

            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or SocketException)
        {
            return false;
        }
    }
}
