using System.Runtime.InteropServices;

namespace KaslrMt.Hypervisors;

/// <summary>Turns the first Ctrl-C, SIGTERM or SIGHUP of an owner into a request to stop its VM; a second one ends the owner as usual.</summary>
public sealed class OwnerSignals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;

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
        context.Cancel = !_stop.IsCancellationRequested;
        _stop.Cancel();
    }
}
