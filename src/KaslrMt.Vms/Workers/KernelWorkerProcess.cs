using System.Globalization;
using KaslrMt.Kernels;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms.Workers;

/// <summary>Has a kernel file understood by a short-lived process without keys, rights or network, and believes nothing of its answer.</summary>
public static class KernelWorkerProcess
{
    /// <summary>Has the kernel understood.</summary>
    /// <param name="kernel">The kernel file, opened for reading by whoever may read it; stays the caller's.</param>
    /// <param name="settings">How the worker is started.</param>
    /// <param name="cancellationToken">Kills the worker.</param>
    /// <returns>The prepared kernel, checked; the caller disposes of it.</returns>
    /// <exception cref="KaslrMtException">
    /// What is wrong with the kernel (KMT20xx to KMT25xx); KMT9031: the worker crashed; KMT9032: it took too long; KMT9033: its answer is not valid.
    /// </exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the worker is gone.</exception>
    public static async Task<PreparedKernel> PrepareAsync(SafeFileHandle kernel, WorkerSettings settings, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(settings);
        cancellationToken.ThrowIfCancellationRequested();

        // A thread of its own: it waits in poll(2), and threads of the pool are for those who do not wait.
        return await Task.Factory.StartNew(
            () => Prepare(kernel, settings, cancellationToken), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
    }

    private static PreparedKernel Prepare(SafeFileHandle kernel, WorkerSettings settings, CancellationToken cancellationToken)
    {
        using SafeFileHandle answer = WorkerCalls.CreateMemoryFile("kaslrmt-prepared") ?? throw WorkerRun.HostFault("a file in memory");
        WorkerExit exit = WorkerRun.Run(kernel, answer, settings, cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        if (exit.TimedOut)
        {
            throw new KaslrMtException(
                VmErrors.WorkerTime,
                string.Create(CultureInfo.InvariantCulture, $"the kernel worker was killed after {settings.TimeLimit.TotalSeconds:0.#} s"),
                "the kernel image is hostile, or the host is overloaded");
        }

        if (exit.Flooded)
        {
            throw Invalid($"it wrote more than {WorkerRun.MostErrorText} bytes of errors");
        }

        if (exit.Signal is int signal)
        {
            throw new KaslrMtException(
                VmErrors.WorkerCrashed,
                string.Create(CultureInfo.InvariantCulture, $"the kernel worker was killed by signal {signal}"),
                "the kernel image is hostile or damaged, or a codec has a fault");
        }

        return exit.Code switch
        {
            0 => Read(answer),
            KernelWorker.Refused => throw WorkerProblem.Parse(exit.Errors) ?? Invalid("it refused the kernel without a known reason"),
            _ => throw new KaslrMtException(
                VmErrors.WorkerCrashed,
                string.Create(CultureInfo.InvariantCulture, $"the kernel worker ended with exit code {exit.Code}: {Printable.Of(exit.Errors, 200)}"),
                "the kernel image is hostile or damaged, or a codec has a fault"),
        };
    }

    private static PreparedKernel Read(SafeFileHandle answer)
    {
        try
        {
            return PreparedKernel.Read(answer);
        }
        catch (KaslrMtException error) when (error.Code != CoreErrors.OutOfMemory)
        {
            throw Invalid(error.Problem, error);
        }
    }

    private static KaslrMtException Invalid(string problem, Exception? inner = null) =>
        new(VmErrors.WorkerAnswer, $"the kernel worker's answer is not valid: {problem}", "the kernel image is hostile, or the worker is of another version", inner);
}
