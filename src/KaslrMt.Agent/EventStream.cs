using System.Threading.Channels;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>Tells what happens on the host to all that listen. A listener that is slow loses the oldest events, and delays nobody.</summary>
/// <param name="clock">Tells the time.</param>
internal sealed class EventStream(TimeProvider clock)
{
    private const int MostWaiting = 256;

    private readonly Lock _gate = new();
    private readonly List<Channel<HostEvent>> _listeners = [];

    /// <summary>Tells an event.</summary>
    public void Tell(string kind, VmSpec vm, string? detail = null) => Tell(kind, vm.Name, vm.Tenant, detail);

    /// <summary>Tells an event of a VM whose specification is gone.</summary>
    public void Tell(string kind, string name, string? tenant, string? detail)
    {
        var one = new HostEvent(clock.GetUtcNow(), kind, name, tenant, detail is null ? null : Printable.Of(detail));
        lock (_gate)
        {
            foreach (Channel<HostEvent> listener in _listeners)
            {
                listener.Writer.TryWrite(one);
            }
        }
    }

    /// <summary>Listens until disposed.</summary>
    public Listener Listen()
    {
        var channel = Channel.CreateBounded<HostEvent>(new BoundedChannelOptions(MostWaiting) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_gate)
        {
            _listeners.Add(channel);
        }

        return new Listener(this, channel);
    }

    /// <summary>One that listens.</summary>
    internal sealed class Listener(EventStream stream, Channel<HostEvent> channel) : IDisposable
    {
        /// <summary>Gets the events as they come.</summary>
        public ChannelReader<HostEvent> Events => channel.Reader;

        /// <inheritdoc/>
        public void Dispose()
        {
            lock (stream._gate)
            {
                stream._listeners.Remove(channel);
            }
        }
    }
}
