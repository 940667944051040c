using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Guests;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>The RAM of a running QEMU guest, read and written through one descriptor of <c>/proc/PID/mem</c>.</summary>
/// <remarks>
/// The descriptor holds the process's <em>address space</em>. It is opened before anything is asked of the process: an <c>execve</c> leaves number, pidfd and
/// start time as they are and gives the process other memory, perhaps that of a program with more rights; through this descriptor that memory cannot be
/// reached (<c>process_vm_writev(2)</c> would reach it). Reads and writes of a QEMU that has ended, or became another program, move no byte.
/// </remarks>
internal sealed class QemuRamAccess : IGuestRamAccess
{
    private readonly SafeFileHandle _memory;
    private readonly IReadOnlyList<HostRun> _runs;
    private readonly int _processId;

    private QemuRamAccess(SafeFileHandle memory, IReadOnlyList<HostRun> runs, int processId)
    {
        _memory = memory;
        _runs = runs;
        _processId = processId;
    }

    /// <summary>Opens the RAM of a QEMU that has a monitor.</summary>
    /// <param name="monitor">The monitor.</param>
    /// <param name="process">That QEMU.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException"><see cref="GuestErrors.GuestGone"/>; <see cref="GuestErrors.AccessDenied"/>; the errors of monitor and memory.</exception>
    internal static async Task<QemuRamAccess> OpenAsync(QmpClient monitor, QemuProcess process, CancellationToken cancellationToken)
    {
        SafeFileHandle memory = Open(process.Id);
        try
        {
            // Whose memory it is, is known only now: the process that this handle is of has not ended, so its number was its own when the descriptor was opened.
            if (process.Exited.IsCompleted)
            {
                throw Gone(process.Id);
            }

            using QemuMemory found = await QemuMemory.OpenAsync(monitor, process.Id, cancellationToken).ConfigureAwait(false);
            return new QemuRamAccess(memory, found.Runs, process.Id);
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
            Read(run.HostOf(address), destination[..length]);
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
            Write(run.HostOf(address), bytes[..length]);
            bytes = bytes[length..];
            address += (ulong)length;
        }
    }

    /// <summary>Lets go of the guest, which goes on.</summary>
    public void Dispose() => _memory.Dispose();

    private static SafeFileHandle Open(int processId)
    {
        string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/mem");
        int descriptor = Linux.Open(path, Linux.OpenForBoth, 0);
        if (descriptor >= 0)
        {
            return new SafeFileHandle(descriptor, ownsHandle: true);
        }

        int error = Marshal.GetLastPInvokeError();
        throw error is Linux.EPERM or Linux.EACCES
            ? new KaslrMtException(
                GuestErrors.AccessDenied,
                string.Create(CultureInfo.InvariantCulture, $"this user may not write the memory of QEMU process {processId}"),
                "run as the VM's owner or root; kernel.yama.ptrace_scope above 0 allows only ancestors and root")
            : Gone(processId);
    }

    private static KaslrMtException Gone(int processId) => new(
        GuestErrors.GuestGone, string.Create(CultureInfo.InvariantCulture, $"the guest (QEMU process {processId}) has exited"));

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

    private void Read(ulong host, Span<byte> destination)
    {
        try
        {
            for (int done = 0; done < destination.Length;)
            {
                int read = RandomAccess.Read(_memory, destination[done..], (long)host + done);
                done += read > 0 ? read : throw Gone(_processId);
            }
        }
        catch (IOException error)
        {
            throw new KaslrMtException(GuestErrors.ReadFailed, $"guest memory cannot be read ({Printable.Of(error.Message)})", inner: error);
        }
    }

    private unsafe void Write(ulong host, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* first = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                nint written = Linux.WriteAt(_memory, first + done, (nuint)(bytes.Length - done), (long)host + done);
                if (written <= 0)
                {
                    int error = Marshal.GetLastPInvokeError();
                    throw written < 0 && error != Linux.ESRCH
                        ? new KaslrMtException(GuestErrors.ReadFailed, $"guest memory cannot be written ({Marshal.GetPInvokeErrorMessage(error)})")
                        : Gone(_processId);
                }

                done += (int)written;
            }
        }
    }
}

/// <summary>A run of guest RAM and where in the hypervisor's process it begins.</summary>
internal readonly record struct HostRun(PhysicalRange Range, ulong Host)
{
    /// <summary>Returns where in the process an address of the run is.</summary>
    internal ulong HostOf(PhysicalAddress address) => Host + (address - Range.Start);
}
