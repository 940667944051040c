using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Kernels;

/// <summary>Reads a kernel file whole, with the errors an operator understands.</summary>
internal static class KernelFile
{
    private const long LargestFile = 1L << 30;

    /// <summary>Reads the file into memory of its own.</summary>
    /// <exception cref="KaslrMtException">KMT2007 (too large), KMT2008 (missing, not a regular file, not readable), KMT2001 (empty).</exception>
    public static NativeBuffer Read(string path)
    {
        try
        {
            if (RegularFile.Fault(path) is string fault)
            {
                throw new IOException(fault);
            }

            using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.SequentialScan);
            return Read(handle);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            string reason = error switch
            {
                FileNotFoundException or DirectoryNotFoundException => "no such file",
                UnauthorizedAccessException => "permission denied",
                _ => error.Message.Split(" : ")[0],
            };
            throw new KaslrMtException(KernelErrors.Unreadable, $"cannot be read: {reason}", "give a kernel file that exists and is readable", error);
        }
    }

    /// <summary>Reads an open file into memory of its own.</summary>
    /// <exception cref="KaslrMtException">KMT2007 (too large), KMT2001 (empty), KMT2002 (it shrinks).</exception>
    public static NativeBuffer Read(SafeFileHandle handle)
    {
        long length = RandomAccess.GetLength(handle);
        if (length > LargestFile)
        {
            throw new KaslrMtException(KernelErrors.TooLarge, $"the file has {length} bytes, more than any kernel (1 GiB)", "give a kernel image");
        }

        return length > 0
            ? ReadAll(handle, (int)length)
            : throw new KaslrMtException(KernelErrors.NotAKernel, "the file is empty", "give a bzImage (vmlinuz) or an ELF vmlinux");
    }

    /// <summary>Reads that many bytes from the beginning of an open file.</summary>
    /// <exception cref="KaslrMtException">KMT2002: it has fewer.</exception>
    public static NativeBuffer ReadAll(SafeFileHandle handle, int length)
    {
        var buffer = new NativeBuffer(length);
        try
        {
            int done = 0;
            while (done < length)
            {
                int read = RandomAccess.Read(handle, buffer.Span[done..], done);
                if (read == 0)
                {
                    throw new KaslrMtException(KernelErrors.Truncated, $"the file shrank from {length} to {done} bytes while it was read", "run again");
                }

                done += read;
            }

            return buffer;
        }
        catch
        {
            buffer.Dispose();
            throw;
        }
    }
}
