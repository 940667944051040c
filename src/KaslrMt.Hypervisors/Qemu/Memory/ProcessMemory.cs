using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Guests;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>The address space of another process, read and written through one descriptor of <c>/proc/PID/mem</c>.</summary>
/// <remarks>
/// The descriptor holds the <em>address space</em> that the process had when it was opened. An <c>execve</c> leaves number, pidfd and start time as they are and
/// gives the process other memory, perhaps that of a program with more rights; through this descriptor that memory cannot be reached
/// (<c>process_vm_writev(2)</c> would reach it). Reads and writes of a process that has ended, or became another program, move no byte.
/// </remarks>
internal sealed class ProcessMemory : IDisposable
{
    private readonly SafeFileHandle _memory;
    private readonly int _processId;

    private ProcessMemory(SafeFileHandle memory, int processId)
    {
        _memory = memory;
        _processId = processId;
    }

    /// <summary>Opens the memory of a QEMU. Whose process that is, must be asked afterwards.</summary>
    /// <exception cref="KaslrMtException"><see cref="GuestErrors.GuestGone"/>; <see cref="GuestErrors.AccessDenied"/>.</exception>
    internal static ProcessMemory Open(int processId)
    {
        string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/mem");
        int descriptor = Linux.Open(path, Linux.OpenForBoth, 0);
        if (descriptor >= 0)
        {
            return new ProcessMemory(new SafeFileHandle(descriptor, ownsHandle: true), processId);
        }

        int error = Marshal.GetLastPInvokeError();
        throw error is Linux.EPERM or Linux.EACCES
            ? new KaslrMtException(
                GuestErrors.AccessDenied,
                string.Create(CultureInfo.InvariantCulture, $"this user may not write the memory of QEMU process {processId}"),
                "run as the VM's owner or root; kernel.yama.ptrace_scope above 0 allows only ancestors and root")
            : Gone(processId);
    }

    /// <summary>The process has ended, or is another program now.</summary>
    internal static KaslrMtException Gone(int processId) => new(
        GuestErrors.GuestGone, string.Create(CultureInfo.InvariantCulture, $"the guest (QEMU process {processId}) has exited"));

    /// <summary>Reads at an address of the process.</summary>
    /// <exception cref="KaslrMtException"><see cref="GuestErrors.GuestGone"/>; <see cref="GuestErrors.ReadFailed"/>.</exception>
    internal void Read(ulong address, Span<byte> destination)
    {
        try
        {
            for (int done = 0; done < destination.Length;)
            {
                int read = RandomAccess.Read(_memory, destination[done..], (long)address + done);
                done += read > 0 ? read : throw Gone(_processId);
            }
        }
        catch (IOException error)
        {
            throw new KaslrMtException(GuestErrors.ReadFailed, $"guest memory cannot be read ({Printable.Of(error.Message)})", inner: error);
        }
    }

    /// <summary>Writes at an address of the process.</summary>
    /// <exception cref="KaslrMtException"><see cref="GuestErrors.GuestGone"/>; <see cref="GuestErrors.ReadFailed"/>.</exception>
    internal unsafe void Write(ulong address, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* first = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                nint written = Linux.WriteAt(_memory, first + done, (nuint)(bytes.Length - done), (long)address + done);
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

    /// <summary>Lets go of the memory; the process goes on.</summary>
    public void Dispose() => _memory.Dispose();
}
