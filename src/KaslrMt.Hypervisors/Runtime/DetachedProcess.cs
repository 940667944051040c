using System.Runtime.InteropServices;
using System.Text;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>A process that outlives this one: in a session of its own, with a pipe at standard input, and one at standard output and error together.</summary>
public sealed class DetachedProcess : IDisposable
{
    private const int LongestWords = 16 << 10;

    private readonly ProcessHandle? _handle;

    private DetachedProcess(ProcessHandle? handle, Task<int?> exited, int id, FileStream input, FileStream output)
    {
        _handle = handle;
        Exited = exited;
        Id = id;
        Input = input;
        Output = output;
    }

    /// <summary>Its number.</summary>
    public int Id { get; }

    /// <summary>Completes once it has ended: its exit code, or null where a signal ended it.</summary>
    public Task<int?> Exited { get; }

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
                int pid = SpawnRequest.Start(program, arguments, itsInput, itsOutput, itsOutput);
                ProcessHandle? handle = ProcessHandle.TryOpen(pid);

                // As long as this process lives, it is the parent: without a wait, the ended child would keep its number and look alive.
                var exited = new TaskCompletionSource<int?>(TaskCreationOptions.RunContinuationsAsynchronously);
                new Thread(() => exited.SetResult(Reap(pid)), 128 << 10) { IsBackground = true, Name = "reaper" }.Start();
                return new DetachedProcess(handle, exited.Task, pid, new FileStream(ourInput, FileAccess.Write, 0), new FileStream(ourOutput, FileAccess.Read, 0));
            }
        }
    }

    /// <summary>Gets the last line that it wrote, once it has ended; null where it wrote none.</summary>
    public async Task<string?> LastLineAsync()
    {
        await Exited.ConfigureAwait(false);

        // A child of its own may still hold the pipe: what is there is read, and no more is waited for.
        byte[] words = new byte[LongestWords];
        using var patience = new CancellationTokenSource();
        Task<int> reading = Output.ReadAtLeastAsync(words, words.Length, throwOnEndOfStream: false, patience.Token).AsTask();
        if (await Task.WhenAny(reading, Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None)).ConfigureAwait(false) != reading)
        {
            return null;
        }

        string text = Encoding.UTF8.GetString(words, 0, await reading.ConfigureAwait(false));
        return text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault();
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

    private static unsafe int? Reap(int pid)
    {
        int status = 0;
        int waited;
        do
        {
            waited = Linux.WaitPid(pid, &status, 0);
        }
        while (waited < 0 && Marshal.GetLastPInvokeError() == Linux.EINTR);

        // wait(2): the low seven bits are the signal, or zero with the exit code in the next byte.
        return waited == pid && (status & 0x7f) == 0 ? (status >> 8) & 0xff : null;
    }
}
