using System.Runtime.InteropServices;

namespace KaslrMt.Hypervisors.Native;

/// <summary>A pidfd: a name for one process that, unlike its number, is never given to another.</summary>
internal sealed unsafe class ProcessHandle : SafeHandle
{
    private const nint PidfdSendSignal = 424;
    private const nint PidfdOpen = 434;

    private ProcessHandle(nint descriptor)
        : base(-1, ownsHandle: true) => SetHandle(descriptor);

    public override bool IsInvalid => handle < 0;

    /// <summary>Whether the process still runs. One that exited and waits for its parent does not.</summary>
    internal bool IsRunning => !WaitForExit(0);

    /// <summary>Opens the process now numbered <paramref name="pid"/>, or returns null when there is none.</summary>
    internal static ProcessHandle? TryOpen(int pid)
    {
        nint descriptor = Linux.Syscall(PidfdOpen, pid, 0, 0, 0);
        return descriptor < 0 ? null : new ProcessHandle(descriptor);
    }

    /// <summary>Sends a signal; false when the process is gone or not ours, or this handle was let go of.</summary>
    internal bool Signal(int signal)
    {
        bool held = false;
        try
        {
            DangerousAddRef(ref held);
            return Linux.Syscall(PidfdSendSignal, handle, signal, 0, 0) == 0;
        }
        catch (ObjectDisposedException)
        {
            // Whoever saw the process end let go of it, just before another wanted to be sure of that end.
            return false;
        }
        finally
        {
            if (held)
            {
                DangerousRelease();
            }
        }
    }

    /// <summary>Waits until the process exits; false when it still runs after that many milliseconds.</summary>
    /// <exception cref="ObjectDisposedException">This handle was let go of before the wait began.</exception>
    internal bool WaitForExit(int timeoutMilliseconds)
    {
        bool held = false;
        try
        {
            DangerousAddRef(ref held);
            Linux.PollFd poll = new() { Descriptor = (int)handle, Events = Linux.PollIn };
            return Linux.Poll(&poll, 1, timeoutMilliseconds) > 0;
        }
        finally
        {
            if (held)
            {
                DangerousRelease();
            }
        }
    }

    protected override bool ReleaseHandle() => Linux.Close((int)handle) == 0;
}
