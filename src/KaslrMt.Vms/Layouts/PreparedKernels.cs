using System.Security.Cryptography;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Vms.Workers;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms;

/// <summary>The prepared kernels of this process: each understood once and kept on disk, the last one used kept in memory for a moment.</summary>
/// <remarks>
/// A kernel is some 60 MiB. One at a time is in memory, and whoever needs one waits for the turn: thirty VMs that boot at once cost the memory of one kernel.
/// The kernel file is copied before anything is asked of it: its digest is of the bytes that are understood, whatever somebody writes to the file meanwhile.
/// </remarks>
internal sealed class PreparedKernels : IDisposable
{
    private const int CopySize = 1 << 20;
    private const long LargestKernel = 1L << 30;

    /// <summary>How long a kernel stays in memory after its last use.</summary>
    private static readonly TimeSpan Warmth = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _turn = new(1);
    private readonly PreparedKernelCache? _cache;
    private readonly WorkerSettings? _worker;
    private readonly Timer _cooling;
    private PreparedKernel? _warm;
    private string? _warmFile;
    private string? _warmDigest;

    /// <param name="cache">Where prepared kernels are kept; null for nowhere.</param>
    /// <param name="worker">How kernel files are understood: by a process without rights; null for this process.</param>
    public PreparedKernels(PreparedKernelCache? cache, WorkerSettings? worker = null)
    {
        _cache = cache;
        _worker = worker;
        _cooling = new Timer(_ => Cool());
    }

    /// <summary>Uses a prepared kernel, alone.</summary>
    /// <param name="path">The kernel file.</param>
    /// <param name="user">Whose rights it is opened with; null for this process's own.</param>
    /// <param name="work">The work; the kernel is not to be kept.</param>
    /// <param name="cancellationToken">Gives up waiting for the turn.</param>
    /// <exception cref="KaslrMtException">KMT20xx to KMT25xx, KMT903x: what is wrong with the kernel; what the work throws.</exception>
    public async Task<T> UseAsync<T>(string path, ProcessUser? user, Func<UsedKernel, T> work, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await Task.Run(() => Use(path, user, work, cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _cooling.Change(Warmth, Timeout.InfiniteTimeSpan);
            _turn.Release();
        }
    }

    /// <summary>Forgets the kernel in memory.</summary>
    public void Dispose()
    {
        _cooling.Dispose();
        _warm?.Dispose();
        _warm = null;
    }

    private T Use<T>(string path, ProcessUser? user, Func<UsedKernel, T> work, CancellationToken cancellationToken)
    {
        using SafeFileHandle file = CallerRights.Run(user, () => KernelHandle.Open(path));
        FileIdentity? identity = FileIdentity.Of(file);
        if (_warm is not null && identity is { IsSettled: true } same && same.Text == _warmFile)
        {
            return work(new UsedKernel(_warm, WasPrepared: true));
        }

        using SafeFileHandle copy = WorkerCalls.CreateMemoryFile("kaslrmt-kernel") ?? throw WorkerRun.HostFault("a file in memory");
        string digest = Copy(file, copy, path);
        bool prepared = true;
        if (_warm is null || digest != _warmDigest)
        {
            _warm?.Dispose();
            _warm = null;
            _warm = _cache?.Find(digest);
            prepared = _warm is not null;
            if (_warm is null)
            {
                _warm = Understand(copy, path, cancellationToken);
                _cache?.Add(digest, _warm);
            }
        }

        // What was read is the file's content at one moment only if nobody wrote meanwhile.
        _warmFile = identity is { IsSettled: true } whole && FileIdentity.Of(file) is { } after && after.Text == whole.Text ? whole.Text : null;
        _warmDigest = digest;
        return work(new UsedKernel(_warm, prepared));
    }

    private PreparedKernel Understand(SafeFileHandle copy, string path, CancellationToken cancellationToken)
    {
        try
        {
            return _worker is null
                ? Read(copy)
                : KernelWorkerProcess.PrepareAsync(copy, _worker, cancellationToken).GetAwaiter().GetResult();
        }
        catch (KaslrMtException problem) when (problem.Code.Number / 1000 == 2)
        {
            throw new KaslrMtException(problem.Code, $"{Printable.Of(path)}: {problem.Problem}", problem.Remedy, problem);
        }
    }

    private static PreparedKernel Read(SafeFileHandle copy)
    {
        using var file = new NativeBuffer((int)RandomAccess.GetLength(copy));
        for (int done = 0; done < file.Span.Length;)
        {
            done += RandomAccess.Read(copy, file.Span[done..], done);
        }

        return KernelImage.Read(file.Span).Prepared;
    }

    // The result is the copy's SHA-256 in hexadecimal.
    private static string Copy(SafeFileHandle file, SafeFileHandle copy, string path)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[CopySize];
        for (long done = 0; ;)
        {
            int read = RandomAccess.Read(file, buffer, done);
            if (read == 0)
            {
                if (done == 0)
                {
                    throw new KaslrMtException(KernelErrors.NotAKernel, $"{Printable.Of(path)}: the file is empty", "give a bzImage (vmlinuz) or an ELF vmlinux");
                }

                return Convert.ToHexStringLower(hash.GetHashAndReset());
            }

            if (done + read > LargestKernel)
            {
                throw new KaslrMtException(KernelErrors.TooLarge, $"{Printable.Of(path)}: the file is larger than any kernel (1 GiB)", "give a kernel image");
            }

            hash.AppendData(buffer, 0, read);
            RandomAccess.Write(copy, buffer.AsSpan(0, read), done);
            done += read;
        }
    }

    private void Cool()
    {
        if (_turn.Wait(0))
        {
            try
            {
                _warm?.Dispose();
                _warm = null;
            }
            finally
            {
                _turn.Release();
            }
        }
    }
}

/// <summary>A prepared kernel in use.</summary>
/// <param name="Kernel">The kernel.</param>
/// <param name="WasPrepared">Whether it was found prepared.</param>
internal readonly record struct UsedKernel(PreparedKernel Kernel, bool WasPrepared);
