using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>Gives memory back to the host once something has happened and nothing more does: at rest nothing is allocated, so nothing would be collected either.</summary>
/// <param name="events">Tells that something happens.</param>
/// <param name="time">The clock.</param>
internal sealed class MemoryTrim(EventStream events, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(5);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using EventStream.Listener listener = events.Listen();
        do
        {
            await Task.Delay(Quiet, time, stoppingToken).ConfigureAwait(false);
            while (listener.Events.TryRead(out HostEvent? _))
            {
            }

            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        }
        while (await listener.Events.WaitToReadAsync(stoppingToken).ConfigureAwait(false));
    }
}
