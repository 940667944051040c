using KaslrMt.Kernels;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms;

/// <summary>An open kernel file.</summary>
internal static class KernelHandle
{
    /// <summary>Opens the file for reading.</summary>
    /// <exception cref="KaslrMtException">KMT2008: it is missing, not a regular file, or not readable.</exception>
    public static SafeFileHandle Open(string path)
    {
        try
        {
            return RegularFile.Fault(path) is string fault
                ? throw new IOException(fault)
                : File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.SequentialScan);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(KernelErrors.Unreadable, $"{Printable.Of(path)}: the kernel cannot be read: {FileProblem.Reason(error)}", "give a kernel file that exists and is readable", error);
        }
    }

    /// <summary>Gets the path by which this process reaches the open file.</summary>
    public static string PathOf(SafeFileHandle kernel) => UnnamedFile.PathOf(kernel);
}
