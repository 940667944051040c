using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>A socket's path in a form that fits a socket address (<c>sun_path</c>, 108 bytes with its NUL).</summary>
/// <remarks>
/// A path too long is reached through an open descriptor of its folder, <c>/proc/PID/fd/N/NAME</c>: good for other processes of the same user
/// too, as long as this one lives and has not disposed it.
/// </remarks>
internal sealed class UnixSocketPath : IDisposable
{
    private const int LongestAddress = 107;

    private readonly SafeFileHandle? _folder;

    private UnixSocketPath(string path, SafeFileHandle? folder)
    {
        Short = path;
        _folder = folder;
    }

    /// <summary>The path to put into a socket address.</summary>
    internal string Short { get; }

    public void Dispose() => _folder?.Dispose();

    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.RuntimeDirectoryFailed"/> when the folder does not open.</exception>
    internal static UnixSocketPath For(string path)
    {
        if (Encoding.UTF8.GetByteCount(path) <= LongestAddress)
        {
            return new UnixSocketPath(path, null);
        }

        string folder = Path.GetDirectoryName(path) ?? "/";
        int descriptor = Linux.Open(folder, Linux.OpenDirectoryPath, 0);
        if (descriptor < 0)
        {
            throw new KaslrMtException(
                HypervisorErrors.RuntimeDirectoryFailed,
                $"the folder {folder} does not open ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})");
        }

        string name = string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{descriptor}/{Path.GetFileName(path)}");
        return new UnixSocketPath(name, new SafeFileHandle(descriptor, ownsHandle: true));
    }
}
