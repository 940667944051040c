using System.Runtime.InteropServices;

namespace KaslrMt.Hypervisors;

/// <summary>Turns the first Ctrl-C, SIGTERM or SIGHUP of an owner into a request to stop its VM; one more after a second ends the owner as usual.</summary>
public sealed class OwnerSignals : IDisposable
{
    private const long SameRequestMilliseconds = 1000;

    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;
    private long _first;

    /// <summary>Begins to listen.</summary>
    public OwnerSignals() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle),
        PosixSignalRegistration.Create(PosixSignal.SIGHUP, Handle),
    ];

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken StopRequested => _stop.Token;

    /// <summary>Gives the signals their usual meaning back.</summary>
    public void Dispose()
    {
        Array.ForEach(_registrations, registration => registration.Dispose());
        _stop.Dispose();
    }

    private void Handle(PosixSignalContext context)
    {
        // timeout(1), sudo and service managers signal a process and its group: the same request, twice within milliseconds.
        long now = Environment.TickCount64;
        long first = Interlocked.CompareExchange(ref _first, now, 0);
        context.Cancel = first == 0 || now - first < SameRequestMilliseconds;
        _stop.Cancel();
    }
}
