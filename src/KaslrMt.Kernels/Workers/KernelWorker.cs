using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Kernels;

/// <summary>Understands a kernel file in a process that has given up every right: what an executable's hidden worker mode calls.</summary>
/// <remarks>
/// Reads the kernel from descriptor 0 and writes a <see cref="PreparedKernel"/> to descriptor 1, both regular files or memfds. An error goes to
/// descriptor 2 as one line, <c>KMT2103 what was wrong; what to do</c>. The parent believes none of it.
/// </remarks>
public static class KernelWorker
{
    /// <summary>The exit code of a worker that refused the kernel and said why.</summary>
    public const int Refused = 3;

    /// <summary>The environment variable that names the user the worker becomes when root started it; 65534 without it.</summary>
    public const string UserVariable = "KASLRMT_WORKER_UID";

    /// <summary>The user that a worker becomes unless told otherwise: nobody.</summary>
    public const int Nobody = 65534;

    /// <summary>Turns a kernel file's bytes into a prepared kernel.</summary>
    internal delegate PreparedKernel Understanding(ReadOnlySpan<byte> file);

    /// <summary>Does the work of the process. Call it first, before anything has started a thread, and end with what it returns.</summary>
    /// <returns>The process's exit code: 0, or <see cref="Refused"/>.</returns>
    public static int Run() => Run(file => KernelImage.Read(file).Prepared);

    /// <summary>The same with other code in the place of the codecs.</summary>
    internal static int Run(Understanding understand)
    {
        try
        {
            WorkerConfinement.Enter(User());
            using var input = new SafeFileHandle(0, ownsHandle: false);
            using var output = new SafeFileHandle(1, ownsHandle: false);
            using NativeBuffer file = KernelFile.Read(input);
            using PreparedKernel prepared = understand(file.Span);
            prepared.WriteTo(output);
            return 0;
        }
        catch (KaslrMtException error)
        {
            Report(error);
            return Refused;
        }
    }

    private static uint User() =>
        uint.TryParse(Environment.GetEnvironmentVariable(UserVariable), NumberStyles.None, CultureInfo.InvariantCulture, out uint user) && user > 0 ? user : Nobody;

    private static unsafe void Report(KaslrMtException error)
    {
        byte[] line = Encoding.UTF8.GetBytes($"{error.Code} {Printable.Of(error.Message)}\n");
        fixed (byte* bytes = line)
        {
            // Nothing can be done where nobody listens.
            _ = WorkerSystemCalls.Write(2, bytes, (nuint)line.Length);
        }
    }
}
