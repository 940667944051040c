using System.Runtime.InteropServices;
using System.Text.Json;

namespace KaslrMt.Hypervisors;

/// <summary>A guest that stands still while it is looked at. Disposing lets it go on; so does a signal that asks this process to end.</summary>
internal sealed class GuestPause : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly QmpClient _monitor;
    private readonly PosixSignalRegistration[] _signals;

    // A signal between the decision to stop the guest and its end must let it go on after it has stopped, not before.
    private readonly SemaphoreSlim _turn = new(1, 1);
    private bool _stopped;

    private GuestPause(QmpClient monitor, Action interrupted)
    {
        _monitor = monitor;
        void EndProcess(PosixSignalContext context)
        {
            context.Cancel = true;
            ContinueAsync().Wait(Patience);
            interrupted();
        }

        _signals =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGINT, EndProcess),
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, EndProcess),
            PosixSignalRegistration.Create(PosixSignal.SIGHUP, EndProcess),
        ];
    }

    /// <summary>Stops the guest. One that stood still before is left so in the end.</summary>
    /// <param name="monitor">Its monitor, which this now owns.</param>
    /// <param name="interrupted">Called on Ctrl-C, SIGTERM or SIGHUP, once the guest goes on. The signal itself then does not end this process.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">Errors of the monitor; the guest then goes on.</exception>
    public static async Task<GuestPause> BeginAsync(QmpClient monitor, Action interrupted, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(monitor);
        var pause = new GuestPause(monitor, interrupted);
        try
        {
            JsonElement status = await monitor.ExecuteAsync("query-status", cancellationToken: cancellationToken).ConfigureAwait(false);
            if (status.ValueKind == JsonValueKind.Object && status.TryGetProperty("running", out JsonElement value) && value.ValueKind == JsonValueKind.True)
            {
                await pause.StopAsync(cancellationToken).ConfigureAwait(false);
            }

            return pause;
        }
        catch
        {
            await pause.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Lets the guest go on, if it ran before, and closes the monitor.</summary>
    /// <exception cref="KaslrMtException">The monitor's errors: the guest may still stand.</exception>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await ContinueAsync().ConfigureAwait(false);
        }
        finally
        {
            Array.ForEach(_signals, signal => signal.Dispose());
            await _monitor.DisposeAsync().ConfigureAwait(false);
            _turn.Dispose();
        }
    }

    private async Task StopAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // Even a command that failed may have been done.
            _stopped = true;
            await _monitor.ExecuteAsync("stop", cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task ContinueAsync()
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_stopped)
            {
                await _monitor.ExecuteAsync("cont").ConfigureAwait(false);
                _stopped = false;
            }
        }
        finally
        {
            _turn.Release();
        }
    }
}
