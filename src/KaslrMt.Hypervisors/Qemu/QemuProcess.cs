using System.Runtime.InteropServices;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>A QEMU process that dies when this process dies, even by SIGKILL, unless it was asked to outlive it.</summary>
/// <remarks>
/// The kernel sends the parent-death signal (<c>prctl(2)</c>, PR_SET_PDEATHSIG, set by setpriv) when the <em>thread</em> that started the
/// process ends, so QEMU is started from a thread of its own, which then waits for QEMU's exit and so lives exactly as long.
/// QEMU gets a session of its own: a terminal's Ctrl-C reaches its owner only, who stops it in order.
/// </remarks>
internal sealed class QemuProcess : IDisposable
{
    private readonly TaskCompletionSource<int> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<int?> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ProcessHandle? _handle;
    private StderrTail? _tail;

    private QemuProcess()
    {
    }

    /// <summary>The process's number.</summary>
    internal int Id => _started.Task.Result;

    /// <summary>When it started, in clock ticks since boot.</summary>
    internal ulong StartTime { get; private set; }

    /// <summary>Completes when it has exited, with the status <c>waitpid</c> gave; null when the host could not tell.</summary>
    internal Task<int?> Exited => _exited.Task;

    /// <summary>Gets whether it has ended; asked of the kernel, not of the thread that waits for it and may be late.</summary>
    internal bool HasEnded => _exited.Task.IsCompleted || _handle is { IsRunning: false };

    /// <summary>The end of its standard error.</summary>
    internal string LastWords => _tail?.LastWords() ?? "";

    /// <summary>Starts QEMU.</summary>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.ProgramMissing"/>, naming Debian's package; <see cref="HypervisorErrors.SystemCall"/>.
    /// </exception>
    internal static async Task<QemuProcess> StartAsync(MachineDefinition definition, IReadOnlyList<string> arguments)
    {
        string qemu = Find(definition.Program, "qemu-system-x86");
        string[] words = [.. QemuLaunch.Prefix(definition, qemu, Find), qemu, .. arguments];
        string[] variables = [.. QemuLaunch.Variables(definition, SpawnRequest.Inherited())];
        QemuProcess process = new();
        StartThread(() => process.Run(words[0], words[1..], variables, definition.Console.UsesStandardStreams));
        await process._started.Task.ConfigureAwait(false);
        return process;
    }

    /// <summary>Takes over a QEMU that outlived its owner; null when it is gone. Its standard error and exit code stay unknown.</summary>
    internal static QemuProcess? TryAttach(int pid, ulong startTime, string folder)
    {
        ProcessHandle? handle = ProcessHandle.TryOpen(pid);

        // Checked after the handle is open: from here on the number cannot be given to another process.
        if (handle is null || !handle.IsRunning || !LeftoverQemu.IsOf(pid, startTime, folder))
        {
            handle?.Dispose();
            return null;
        }

        QemuProcess process = new() { _handle = handle, StartTime = startTime };
        process._started.SetResult(pid);
        StartThread(() =>
        {
            try
            {
                while (!handle.WaitForExit(Timeout.Infinite))
                {
                    // A signal interrupted the wait.
                }

                process._exited.SetResult(null);
            }
            catch (ObjectDisposedException)
            {
                // Let go of, and nobody waits for its end: on a thread of its own the exception would end this whole program.
            }
        });
        return process;
    }

    /// <summary>Ends it at once. Harmless when it has exited.</summary>
    internal void Kill() => _handle?.Signal(Linux.SIGKILL);

    /// <summary>Lets go of a process that was attached to and is to go on.</summary>
    internal void Release() => _handle?.Dispose();

    /// <summary>Ends it at once and waits until it is gone.</summary>
    public void Dispose()
    {
        if (!_exited.Task.IsCompleted)
        {
            Kill();
            _exited.Task.Wait();
        }

        _handle?.Dispose();
    }

    private static void StartThread(ThreadStart work) => new Thread(work, 256 << 10) { IsBackground = true, Name = "QEMU owner" }.Start();

    private static string Find(string program, string package)
    {
        IEnumerable<string> candidates = program.Contains('/', StringComparison.Ordinal)
            ? [Path.GetFullPath(program)]
            : (Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin").Split(':').Where(Path.IsPathRooted).Select(folder => Path.Combine(folder, program));
        return candidates.FirstOrDefault(File.Exists) ?? throw new KaslrMtException(
            HypervisorErrors.ProgramMissing, $"{Printable.Of(program)} is not installed", $"install Debian's package {package}");
    }

    private unsafe void Run(string program, string[] arguments, string[] variables, bool sharesStandardStreams)
    {
        int pid;
        try
        {
            int* ends = stackalloc int[2];
            if (Linux.Pipe(ends, Linux.CloseOnExec) != 0)
            {
                throw new KaslrMtException(
                    HypervisorErrors.SystemCall, $"no pipe for QEMU's messages ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})");
            }

            SafeFileHandle readEnd = new(ends[0], ownsHandle: true);
            using (SafeFileHandle writeEnd = new(ends[1], ownsHandle: true))
            {
                pid = SpawnRequest.Start(program, arguments, variables, writeEnd, sharesStandardStreams);
            }

            // Nobody has waited for it yet: even if it has exited, number and start time are still its own.
            _handle = ProcessHandle.TryOpen(pid);
            StartTime = ProcessIdentity.StartTime(pid) ?? 0;
            _tail = new StderrTail(readEnd);
        }
        catch (KaslrMtException e)
        {
            _started.SetException(e);
            return;
        }

        _started.SetResult(pid);
        int status;
        int result;
        do
        {
            result = Linux.WaitPid(pid, &status, 0);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Linux.EINTR);

        _tail.WaitForEnd(TimeSpan.FromMilliseconds(200));
        _exited.SetResult(result == pid ? status : null);
    }
}
