namespace KaslrMt.Vms;

/// <summary>The initrd that a caller named.</summary>
internal static class InitrdFile
{
    /// <summary>An initrd's size in bytes.</summary>
    /// <exception cref="KaslrMtException">KMT9004: it cannot be used.</exception>
    public static ulong SizeOf(string path)
    {
        try
        {
            if (RegularFile.Fault(path) is string fault)
            {
                throw new IOException(fault);
            }

            using var handle = File.OpenHandle(path);
            long length = RandomAccess.GetLength(handle);
            return length > 0 ? (ulong)length : throw new IOException("it is empty");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                VmErrors.Initrd, $"initrd {path} cannot be used: {FileProblem.Reason(error)}", "give an initrd file that exists and is readable", error);
        }
    }
}
