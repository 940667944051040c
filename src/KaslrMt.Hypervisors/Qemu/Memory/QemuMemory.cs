using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Guests;
using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors;

/// <summary>The RAM of a running QEMU guest, read from QEMU's own memory (<c>process_vm_readv(2)</c>). QEMU is not stopped or slowed.</summary>
internal sealed class QemuMemory : IGuestMemory
{
    // IOV_MAX; more pieces than this go into a second call.
    private const int MostPieces = 1024;

    // Both lists on the stack: 16 KiB each.
    private const int PiecesAtOnce = 1024;

    private readonly HostRun[] _segments;
    private readonly ProcessHandle _process;
    private readonly int _processId;

    private QemuMemory(HostRun[] segments, ProcessHandle process, int processId)
    {
        _segments = segments;
        _process = process;
        _processId = processId;
        Ranges = Merge(segments);
    }

    /// <inheritdoc/>
    public IReadOnlyList<PhysicalRange> Ranges { get; }

    /// <summary>Gets where in the process each run of RAM is, ascending.</summary>
    internal IReadOnlyList<HostRun> Runs => _segments;

    /// <summary>Asks QEMU where it keeps the guest's RAM. The monitor is not needed afterwards.</summary>
    /// <param name="monitor">A monitor of that QEMU.</param>
    /// <param name="processId">That QEMU.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.MemoryMap"/>; <see cref="GuestErrors.GuestGone"/>; the monitor's errors.
    /// </exception>
    public static async Task<QemuMemory> OpenAsync(QmpClient monitor, int processId, CancellationToken cancellationToken = default)
    {
        ProcessHandle process = ProcessHandle.TryOpen(processId) ?? throw Gone(processId);
        try
        {
            List<HostRun> segments = [];
            IReadOnlyCollection<string> backends = await MemoryBackends.OfAsync(monitor, cancellationToken).ConfigureAwait(false);
            foreach (RamRun run in MemoryTree.Parse(await monitor.HumanAsync("info mtree -f", cancellationToken).ConfigureAwait(false), backends))
            {
                ulong first = await HostAddressAsync(monitor, run.Range.Start, cancellationToken).ConfigureAwait(false);
                ulong last = await HostAddressAsync(monitor, run.Range.End - 1, cancellationToken).ConfigureAwait(false);
                if (last < first || last - first != run.Range.Length - 1)
                {
                    throw new KaslrMtException(HypervisorErrors.MemoryMap, $"QEMU does not keep the RAM at {run.Range} in one piece");
                }

                segments.Add(new HostRun(run.Range, first));
            }

            return new QemuMemory([.. segments], process, processId);
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    /// <summary>Finds the guest's RAM without a monitor: by QEMU's command line and where the process has memory of such a size.</summary>
    /// <param name="processId">That QEMU.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.NoQemu"/> when it is no QEMU; <see cref="HypervisorErrors.RamNotFound"/> when only a monitor can tell;
    /// <see cref="GuestErrors.GuestGone"/>; <see cref="GuestErrors.AccessDenied"/>.
    /// </exception>
    public static QemuMemory Open(int processId)
    {
        ProcessHandle process = ProcessHandle.TryOpen(processId) ?? throw Gone(processId);
        try
        {
            QemuCommandLine line = QemuCommandLine.Of(processId);
            List<HostRun> segments = [];
            foreach ((PhysicalRange range, ulong host) in ProcessRam.Locate(processId, line))
            {
                segments.Add(new HostRun(range, host));
            }

            return new QemuMemory([.. segments], process, processId);
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Read(PhysicalAddress address, Span<byte> destination)
    {
        if (!TryRead(address, destination))
        {
            throw new KaslrMtException(GuestErrors.NotRam, $"{destination.Length} bytes at {address} are not all guest RAM");
        }
    }

    /// <inheritdoc/>
    public unsafe bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        // Almost every read lies in one segment: no list of pieces, no second look.
        foreach (HostRun segment in _segments)
        {
            if (segment.Range.Contains(address, (ulong)destination.Length))
            {
                Linux.IoVec piece = new()
                {
                    Base = (nuint)(segment.Host + (address - segment.Range.Start)),
                    Length = (nuint)destination.Length,
                };
                Transfer(address, &piece, 1, destination);
                return true;
            }
        }

        return TryReadPieces(address, destination);
    }

    /// <inheritdoc/>
    public IReadOnlyList<PhysicalRange> FindWritten() =>
        [.. _segments.SelectMany(segment => ProcessRam.Written(_processId, segment.Range, segment.Host))];

    /// <inheritdoc/>
    public unsafe int ReadEach(ReadOnlySpan<PhysicalAddress> addresses, int size, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, addresses.Length * size);
        if (size == 0)
        {
            return addresses.Length;
        }

        int found = 0;
        Linux.IoVec* local = stackalloc Linux.IoVec[PiecesAtOnce];
        Linux.IoVec* remote = stackalloc Linux.IoVec[PiecesAtOnce];
        fixed (byte* target = destination)
        {
            for (int start = 0; start < addresses.Length; start += PiecesAtOnce)
            {
                int end = Math.Min(addresses.Length, start + PiecesAtOnce);
                int pieces = 0;
                for (int i = start; i < end; i++)
                {
                    if (TryLocate(addresses[i], size, out ulong host))
                    {
                        local[pieces] = new Linux.IoVec { Base = (nuint)(target + ((long)i * size)), Length = (nuint)size };
                        remote[pieces++] = new Linux.IoVec { Base = (nuint)host, Length = (nuint)size };
                    }
                    else if (TryRead(addresses[i], destination.Slice(i * size, size)))
                    {
                        // It reaches from one segment into the next.
                        found++;
                    }
                    else
                    {
                        destination.Slice(i * size, size).Clear();
                    }
                }

                found += pieces;
                if (pieces > 0 && Linux.ProcessVmReadv(_processId, local, (nuint)pieces, remote, (nuint)pieces, 0) != (nint)pieces * size)
                {
                    // One of them could not be read: alone, it says why.
                    for (int i = start; i < end; i++)
                    {
                        _ = TryRead(addresses[i], destination.Slice(i * size, size));
                    }
                }
            }
        }

        return _process.IsRunning ? found : throw Gone(_processId);
    }

    /// <summary>Lets go of the guest, which goes on.</summary>
    public void Dispose() => _process.Dispose();

    private static List<PhysicalRange> Merge(HostRun[] segments)
    {
        List<PhysicalRange> merged = [];
        foreach (PhysicalRange range in segments.Select(segment => segment.Range))
        {
            if (merged.Count > 0 && merged[^1].End == range.Start)
            {
                merged[^1] = merged[^1] with { Length = merged[^1].Length + range.Length };
            }
            else
            {
                merged.Add(range);
            }
        }

        return merged;
    }

    // "Host virtual address for 0x100000 (pc.ram) is 0x7f12d3f00000"
    private static async Task<ulong> HostAddressAsync(QmpClient monitor, PhysicalAddress address, CancellationToken cancellationToken)
    {
        string answer = await monitor.HumanAsync(
            string.Create(CultureInfo.InvariantCulture, $"gpa2hva 0x{address.Value:x}"), cancellationToken).ConfigureAwait(false);
        int mark = answer.LastIndexOf(" is 0x", StringComparison.Ordinal);
        return mark >= 0 && ulong.TryParse(
                answer.AsSpan(mark + 6).Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong host)
            ? host
            : throw new KaslrMtException(HypervisorErrors.MemoryMap, $"QEMU does not say where it keeps {address}: '{Printable.Of(answer, 100)}'");
    }

    private static KaslrMtException Gone(int processId) => new(
        GuestErrors.GuestGone, string.Create(CultureInfo.InvariantCulture, $"the guest (QEMU process {processId}) has exited"));

    private bool TryLocate(PhysicalAddress address, int size, out ulong host)
    {
        foreach (HostRun segment in _segments)
        {
            if (segment.Range.Contains(address, (ulong)size))
            {
                host = segment.Host + (address - segment.Range.Start);
                return true;
            }
        }

        host = 0;
        return false;
    }

    private unsafe bool TryReadPieces(PhysicalAddress address, Span<byte> destination)
    {
        List<Linux.IoVec> pieces = [];
        PhysicalAddress at = address;
        ulong left = (ulong)destination.Length;
        foreach (HostRun segment in _segments)
        {
            if (left > 0 && segment.Range.Contains(at))
            {
                ulong skipped = at - segment.Range.Start;
                ulong length = Math.Min(left, segment.Range.Length - skipped);
                pieces.Add(new Linux.IoVec { Base = (nuint)(segment.Host + skipped), Length = (nuint)length });
                at += length;
                left -= length;
            }
        }

        if (left > 0 || pieces.Count is 0 or > MostPieces)
        {
            return destination.IsEmpty && Ranges.Any(range => range.Contains(address, 0));
        }

        fixed (Linux.IoVec* first = CollectionsMarshal.AsSpan(pieces))
        {
            Transfer(address, first, pieces.Count, destination);
        }

        return true;
    }

    private unsafe void Transfer(PhysicalAddress address, Linux.IoVec* pieces, int count, Span<byte> destination)
    {
        fixed (byte* target = destination)
        {
            nuint done = 0;
            while (done < (nuint)destination.Length)
            {
                Linux.IoVec local = new() { Base = (nuint)target + done, Length = (nuint)destination.Length - done };
                nint read = Linux.ProcessVmReadv(_processId, &local, 1, pieces, (nuint)count, 0);
                if (read <= 0)
                {
                    throw Explain(read == 0 ? 0 : Marshal.GetLastPInvokeError(), address + done);
                }

                done += (nuint)read;
                Skip(ref pieces, ref count, (nuint)read);
            }
        }

        // The number may have been given to another process while the bytes were copied: they count only if QEMU still runs.
        if (!_process.IsRunning)
        {
            throw Gone(_processId);
        }
    }

    // One call moves at most 2 GiB and stops at the first page that is not there.
    private static unsafe void Skip(ref Linux.IoVec* pieces, ref int count, nuint read)
    {
        while (count > 0 && read >= pieces->Length)
        {
            read -= pieces->Length;
            pieces++;
            count--;
        }

        if (count > 0)
        {
            pieces->Base += read;
            pieces->Length -= read;
        }
    }

    private KaslrMtException Explain(int error, PhysicalAddress address) =>
        !_process.IsRunning || error == Linux.ESRCH ? Gone(_processId)
        : error is Linux.EPERM or Linux.EACCES ? new KaslrMtException(
            GuestErrors.AccessDenied,
            string.Create(CultureInfo.InvariantCulture, $"this user may not read the memory of QEMU process {_processId}"),
            "run as the VM's owner or root; kernel.yama.ptrace_scope above 0 allows only ancestors and root")
        : new KaslrMtException(
            GuestErrors.ReadFailed, $"guest memory at {address} cannot be read ({Marshal.GetPInvokeErrorMessage(error)})");
}
