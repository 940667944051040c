using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms;

/// <summary>The initrd that a caller named.</summary>
internal static class InitrdFile
{
    /// <summary>An initrd's size in bytes.</summary>
    /// <exception cref="KaslrMtException">KMT9004: it cannot be used.</exception>
    public static ulong SizeOf(string path)
    {
        using SafeFileHandle file = Open(path);
        return (ulong)RandomAccess.GetLength(file);
    }

    /// <summary>Opens an initrd for reading.</summary>
    /// <exception cref="KaslrMtException">KMT9004: it cannot be used.</exception>
    public static SafeFileHandle Open(string path)
    {
        try
        {
            if (RegularFile.Fault(path) is string fault)
            {
                throw new IOException(fault);
            }

            SafeFileHandle file = File.OpenHandle(path);
            if (RandomAccess.GetLength(file) > 0)
            {
                return file;
            }

            file.Dispose();
            throw new IOException("it is empty");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                VmErrors.Initrd, $"initrd {path} cannot be used: {FileProblem.Reason(error)}", "give an initrd file that exists and is readable", error);
        }
    }
}
