namespace KaslrMt.Hypervisors;

/// <summary>Why a VM ended: QEMU's <c>ShutdownCause</c> (<c>qapi/run-state.json</c>), and what QEMU cannot tell itself.</summary>
public enum ShutdownReason
{
    /// <summary>QEMU ended without saying why: it crashed or was killed.</summary>
    Unexplained,

    /// <summary>The guest (or the monitor) reset the machine: the owner starts it anew.</summary>
    Reboot,

    /// <summary>The guest powered itself off.</summary>
    GuestShutdown,

    /// <summary>The guest panicked, and said so through pvpanic.</summary>
    GuestPanic,

    /// <summary>Somebody gave the monitor <c>quit</c>.</summary>
    MonitorQuit,

    /// <summary>QEMU got SIGINT, SIGTERM or SIGHUP.</summary>
    HostSignal,

    /// <summary>The operator closed QEMU's window.</summary>
    HostUserInterface,

    /// <summary>QEMU gave up after an error of its own.</summary>
    HostError,

    /// <summary>The guest goes on in another QEMU.</summary>
    Migrated,

    /// <summary>The guest lies in a file, to be restored.</summary>
    Saved,
}

/// <summary>How a VM ended.</summary>
/// <param name="Reason">Why.</param>
/// <param name="ExitCode">QEMU's exit code; null when a signal ended it, or when the host could not tell.</param>
/// <param name="Signal">The signal that ended QEMU, or null.</param>
/// <param name="LastWords">The end of what QEMU wrote to standard error: one line, cleaned; empty without any.</param>
public sealed record VmExit(ShutdownReason Reason, int? ExitCode, int? Signal, string LastWords)
{
    internal static ShutdownReason Explain(QmpEvent shutdown) => shutdown.Text("reason") switch
    {
        "guest-reset" or "host-qmp-system-reset" or "subsystem-reset" => ShutdownReason.Reboot,
        "guest-shutdown" => ShutdownReason.GuestShutdown,
        "guest-panic" => ShutdownReason.GuestPanic,
        "host-qmp-quit" => ShutdownReason.MonitorQuit,
        "host-signal" => ShutdownReason.HostSignal,
        "host-ui" => ShutdownReason.HostUserInterface,
        "host-error" => ShutdownReason.HostError,
        _ => ShutdownReason.Unexplained,
    };
}
