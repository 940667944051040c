using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Kernels;

namespace KaslrMt.WorkerProbe;

/// <summary>What a codec does that a hostile image has taken over.</summary>
internal static unsafe partial class Faults
{
    private const string C = "libc";
    private const int Megabyte = 1 << 20;

    internal static PreparedKernel Commit(string fault, ReadOnlySpan<byte> file)
    {
        byte* line = stackalloc byte[] { (byte)'l', (byte)'i', (byte)'e', (byte)'s', (byte)'\n', 0 };
        switch (fault)
        {
            case "crash":
                MemorySet(0x12345678, 1, 64);
                break;
            case "hang":
                while (true)
                {
                }

            case "garbage":
                for (int i = 0; i < 1000; i++)
                {
                    _ = Write(1, line, 5);
                }

                ExitNow(0);
                break;
            case "nothing":
                ExitNow(0);
                break;
            case "lie":
                _ = Write(2, line, 5);
                ExitNow(KernelWorker.Refused);
                break;
            case "flood":
                while (true)
                {
                    _ = Write(2, line, 5);
                }

            case "open":
                throw Report(Open("/etc/passwd", 0), "open");
            case "socket":
                throw Report(Socket(1, 1, 0), "socket");
            case "execute":
                throw Report(Execute("/bin/true", null, null), "execve");
            case "thread":
                new Thread(() => { }).Start();
                break;
            case "code":
                throw Report((int)Map(0, 4096, 7, 0x22, -1, 0), "mmap");
            case "memory":
                return Fill();
            default:
                throw new ArgumentException($"there is no fault {fault}");
        }

        return KernelImage.Read(file).Prepared;
    }

    private static PreparedKernel Fill()
    {
        for (int megabytes = 0; ; megabytes += 64)
        {
            nint memory = Map(0, 64 * Megabyte, 3, 0x22, -1, 0);
            if (memory == -1)
            {
                throw new KaslrMtException(KernelErrors.CodecOutOfMemory, string.Create(CultureInfo.InvariantCulture, $"no more than {megabytes} MiB"));
            }

            if (megabytes > 4096)
            {
                throw new KaslrMtException(KernelErrors.NotAKernel, "4 GiB and more");
            }
        }
    }

    private static KaslrMtException Report(int result, string call) =>
        new(KernelErrors.NotAKernel, string.Create(CultureInfo.InvariantCulture, $"{call} gave {result} errno {Marshal.GetLastPInvokeError()}"));

    [LibraryImport(C, EntryPoint = "memset")]
    private static partial void MemorySet(nint address, int value, nuint length);

    [LibraryImport(C, EntryPoint = "write")]
    private static partial nint Write(int descriptor, byte* bytes, nuint length);

    [LibraryImport(C, EntryPoint = "_exit")]
    private static partial void ExitNow(int code);

    [LibraryImport(C, EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport(C, EntryPoint = "socket", SetLastError = true)]
    private static partial int Socket(int family, int type, int protocol);

    [LibraryImport(C, EntryPoint = "execve", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Execute(string path, byte** arguments, byte** environment);

    [LibraryImport(C, EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int descriptor, nint offset);
}
