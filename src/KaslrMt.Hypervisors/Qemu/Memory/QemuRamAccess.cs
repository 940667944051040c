using KaslrMt.Guests;

namespace KaslrMt.Hypervisors;

/// <summary>The RAM of a running QEMU guest, read and written through one descriptor of <c>/proc/PID/mem</c>.</summary>
/// <remarks>The descriptor is opened before anything is asked of the process: see <see cref="ProcessMemory"/>.</remarks>
internal sealed class QemuRamAccess : IGuestRamAccess
{
    private readonly ProcessMemory _memory;
    private readonly IReadOnlyList<HostRun> _runs;

    /// <param name="memory">The hypervisor's memory; disposed of with this.</param>
    /// <param name="runs">Where guest RAM lies in it.</param>
    internal QemuRamAccess(ProcessMemory memory, IReadOnlyList<HostRun> runs)
    {
        _memory = memory;
        _runs = runs;
    }

    /// <summary>Opens the RAM of a QEMU that has a monitor.</summary>
    /// <param name="monitor">The monitor.</param>
    /// <param name="process">That QEMU.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException"><see cref="GuestErrors.GuestGone"/>; <see cref="GuestErrors.AccessDenied"/>; the errors of monitor and memory.</exception>
    internal static async Task<QemuRamAccess> OpenAsync(QmpClient monitor, QemuProcess process, CancellationToken cancellationToken)
    {
        ProcessMemory memory = ProcessMemory.Open(process.Id);
        try
        {
            // Whose memory it is, is known only now: the process that this handle is of has not ended, so its number was its own when the descriptor was opened.
            if (process.HasEnded)
            {
                throw ProcessMemory.Gone(process.Id);
            }

            using QemuMemory found = await QemuMemory.OpenAsync(monitor, process.Id, cancellationToken).ConfigureAwait(false);
            return new QemuRamAccess(memory, found.Runs);
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        if (!IsRam(address, (ulong)destination.Length))
        {
            return false;
        }

        while (!destination.IsEmpty)
        {
            HostRun run = RunOf(address);
            int length = (int)Math.Min((ulong)destination.Length, run.Range.End - address);
            _memory.Read(run.HostOf(address), destination[..length]);
            destination = destination[length..];
            address += (ulong)length;
        }

        return true;
    }

    /// <inheritdoc/>
    public void Write(PhysicalAddress address, ReadOnlySpan<byte> bytes)
    {
        if (!IsRam(address, (ulong)bytes.Length))
        {
            throw new KaslrMtException(GuestErrors.NotRam, $"{bytes.Length} bytes of guest memory are not all RAM, though the guest's firmware says so", "reset the guest");
        }

        while (!bytes.IsEmpty)
        {
            HostRun run = RunOf(address);
            int length = (int)Math.Min((ulong)bytes.Length, run.Range.End - address);
            _memory.Write(run.HostOf(address), bytes[..length]);
            bytes = bytes[length..];
            address += (ulong)length;
        }
    }

    /// <summary>Lets go of the guest, which goes on.</summary>
    public void Dispose() => _memory.Dispose();

    private bool IsRam(PhysicalAddress address, ulong length)
    {
        if (length > ulong.MaxValue - address.Value)
        {
            return false;
        }

        for (PhysicalAddress end = address + length; address < end;)
        {
            HostRun run = RunOf(address);
            if (run.Range.Length == 0)
            {
                return false;
            }

            address = run.Range.End;
        }

        return true;
    }

    private HostRun RunOf(PhysicalAddress address)
    {
        foreach (HostRun run in _runs)
        {
            if (run.Range.Contains(address))
            {
                return run;
            }
        }

        return default;
    }
}

/// <summary>A run of guest RAM and where in the hypervisor's process it begins.</summary>
internal readonly record struct HostRun(PhysicalRange Range, ulong Host)
{
    /// <summary>Returns where in the process an address of the run is.</summary>
    internal ulong HostOf(PhysicalAddress address) => Host + (address - Range.Start);
}
