using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms.Workers;

/// <summary>Runs a worker to its end, which comes within its time whatever it does.</summary>
internal static unsafe class WorkerRun
{
    /// <summary>The most bytes of errors that are read; a worker that writes more is killed.</summary>
    internal const int MostErrorText = 4 << 10;

    private const int Interrupted = 4; // EINTR

    /// <summary>Runs it.</summary>
    /// <param name="kernel">What it reads.</param>
    /// <param name="answer">What it writes.</param>
    /// <param name="settings">How it is started.</param>
    /// <param name="cancellationToken">Kills it.</param>
    /// <exception cref="KaslrMtException">KMT9031: it cannot be started.</exception>
    internal static WorkerExit Run(SafeFileHandle kernel, SafeFileHandle answer, WorkerSettings settings, CancellationToken cancellationToken)
    {
        int* ends = stackalloc int[2];
        if (WorkerCalls.Pipe(ends, WorkerCalls.CloseOnExec) != 0)
        {
            throw HostFault("a pipe");
        }

        using var errors = new SafeFileHandle(ends[0], ownsHandle: true);
        int process;
        using (var theirs = new SafeFileHandle(ends[1], ownsHandle: true))
        {
            process = WorkerStart.Start(settings, kernel, answer, theirs);
        }

        var text = new byte[MostErrorText + 1];
        int length = 0;
        bool ended = false;
        int status;
        try
        {
            using SafeFileHandle handle = WorkerCalls.OpenProcess(process) ?? throw HostFault("a descriptor of the kernel worker");

            // Cancelling ends the worker, which wakes poll(2). The worker is reaped after the registration is gone, so its number is its own till then.
            using (cancellationToken.Register(() => _ = WorkerCalls.Signal(-process, WorkerCalls.Kill)))
            {
                ended = Watch(handle, errors, settings.TimeLimit, text, ref length);
            }
        }
        finally
        {
            _ = WorkerCalls.Signal(-process, WorkerCalls.Kill);
            status = Reap(process);
        }

        int signal = status & 0x7f;
        bool flooded = length > MostErrorText;
        return new WorkerExit(
            (status >> 8) & 0xff, signal == 0 ? null : signal, !ended && !flooded, flooded, Encoding.UTF8.GetString(text, 0, Math.Min(length, MostErrorText)));
    }

    /// <summary>The error for what the host refused.</summary>
    internal static KaslrMtException HostFault(string what) => new(
        VmErrors.WorkerCrashed,
        $"the host refused the kernel worker {what} ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})",
        "raise the agent's limits of files and processes");

    /// <summary>Waits for the end, and reads what the worker writes meanwhile.</summary>
    /// <returns>False when its time was up or it wrote too much.</returns>
    private static bool Watch(SafeFileHandle process, SafeFileHandle errors, TimeSpan limit, byte[] text, ref int length)
    {
        long start = Stopwatch.GetTimestamp();
        WorkerCalls.PollEntry* entries = stackalloc WorkerCalls.PollEntry[2];
        entries[0] = new WorkerCalls.PollEntry { Descriptor = (int)process.DangerousGetHandle(), Events = WorkerCalls.Readable };
        entries[1] = new WorkerCalls.PollEntry { Descriptor = (int)errors.DangerousGetHandle(), Events = WorkerCalls.Readable };
        while (true)
        {
            double left = (limit - Stopwatch.GetElapsedTime(start)).TotalMilliseconds;
            int ready = left > 0 ? WorkerCalls.Poll(entries, 2, (int)Math.Min(int.MaxValue, Math.Ceiling(left))) : 0;
            if (ready == 0)
            {
                return false;
            }

            if (ready < 0)
            {
                if (Marshal.GetLastPInvokeError() != Interrupted)
                {
                    throw HostFault("poll");
                }

                continue;
            }

            if (entries[1].Returned != 0)
            {
                int read;
                fixed (byte* rest = &text[length])
                {
                    read = (int)WorkerCalls.Read(errors, rest, (nuint)(text.Length - length));
                }

                length += Math.Max(read, 0);
                if (length == text.Length)
                {
                    return false;
                }

                if (read <= 0)
                {
                    // poll(2) passes over negative descriptors.
                    entries[1].Descriptor = -1;
                }
            }
            else if (entries[0].Returned != 0)
            {
                return true;
            }
        }
    }

    private static int Reap(int process)
    {
        int status = 0;
        while (WorkerCalls.Wait(process, &status, 0) < 0 && Marshal.GetLastPInvokeError() == Interrupted)
        {
        }

        return status;
    }
}
