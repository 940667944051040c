using System.Runtime.InteropServices;

namespace KaslrMt.Cli.Output;

/// <summary>What a write does not tell: .NET drops what is written to a pipe without a reader.</summary>
internal static partial class StandardOutput
{
    private const short Error = 8; // POLLERR

    /// <summary>Whether standard output is a pipe or socket whose reader has gone, as behind <c>| head</c>.</summary>
    public static bool ReaderIsGone
    {
        get
        {
            var stream = new PollEntry { Descriptor = 1 };
            return Poll(ref stream, 1, 0) == 1 && (stream.Returned & Error) != 0;
        }
    }

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(ref PollEntry entries, nuint count, int milliseconds);

    /// <summary>struct pollfd (poll(2)).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}
