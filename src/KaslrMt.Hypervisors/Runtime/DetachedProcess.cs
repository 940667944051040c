using System.Runtime.InteropServices;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>A process that outlives this one: in a session of its own, with a pipe at standard input and output and nothing at standard error.</summary>
public sealed class DetachedProcess : IDisposable
{
    private readonly ProcessHandle? _handle;

    private DetachedProcess(ProcessHandle? handle, int id, FileStream input, FileStream output)
    {
        _handle = handle;
        Id = id;
        Input = input;
        Output = output;
    }

    /// <summary>Its number.</summary>
    public int Id { get; }

    /// <summary>What it reads. Dispose of it to end that.</summary>
    public Stream Input { get; }

    /// <summary>What it writes; ends when it ends.</summary>
    public Stream Output { get; }

    /// <summary>Starts it.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.SystemCall"/>.</exception>
    public static DetachedProcess Start(string program, IReadOnlyList<string> arguments)
    {
        (SafeFileHandle itsInput, SafeFileHandle ourInput) = Pipe();
        using (itsInput)
        {
            (SafeFileHandle ourOutput, SafeFileHandle itsOutput) = Pipe();
            using (itsOutput)
            {
                int pid = SpawnRequest.Start(program, arguments, itsInput, itsOutput, null);
                ProcessHandle? handle = ProcessHandle.TryOpen(pid);

                // As long as this process lives, it is the parent: without a wait, the ended child would keep its number and look alive.
                new Thread(() => Reap(pid), 128 << 10) { IsBackground = true, Name = "reaper" }.Start();
                return new DetachedProcess(handle, pid, new FileStream(ourInput, FileAccess.Write, 0), new FileStream(ourOutput, FileAccess.Read, 0));
            }
        }
    }

    /// <summary>Asks it to end (SIGTERM).</summary>
    public void Terminate() => _handle?.Signal(Linux.SIGTERM);

    /// <summary>Lets go of it; it goes on.</summary>
    public void Dispose()
    {
        Input.Dispose();
        Output.Dispose();
        _handle?.Dispose();
    }

    private static unsafe (SafeFileHandle Read, SafeFileHandle Write) Pipe()
    {
        int* ends = stackalloc int[2];
        return Linux.Pipe(ends, Linux.CloseOnExec) == 0
            ? (new SafeFileHandle(ends[0], ownsHandle: true), new SafeFileHandle(ends[1], ownsHandle: true))
            : throw new KaslrMtException(HypervisorErrors.SystemCall, $"no pipe ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})");
    }

    private static unsafe void Reap(int pid)
    {
        int status;
        while (Linux.WaitPid(pid, &status, 0) < 0 && Marshal.GetLastPInvokeError() == Linux.EINTR)
        {
            // A signal interrupted the wait.
        }
    }
}
