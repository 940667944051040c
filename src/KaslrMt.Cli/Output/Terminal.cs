using System.Runtime.InteropServices;

namespace KaslrMt.Cli.Output;

/// <summary>What is known of the terminal, asked without .NET's console, which would set the terminal up and slow every start.</summary>
internal static partial class Terminal
{
    private static readonly string[] EncodingVariables = ["LC_ALL", "LC_CTYPE", "LANG"];

    private const int StandardOutput = 1;
    private const int StandardError = 2;
    private const ulong GetWindowSize = 0x5413; // TIOCGWINSZ, ioctl_tty(2)

    /// <summary>Standard output's columns; null where it is no terminal, or one that does not tell.</summary>
    public static int? Columns() => IoControl(StandardOutput, GetWindowSize, out WindowSize size) == 0 && size.Columns > 0 ? size.Columns : null;

    /// <summary>Standard error's columns; null where it is no terminal.</summary>
    public static int? ErrorColumns() => IoControl(StandardError, GetWindowSize, out WindowSize size) == 0 && size.Columns > 0 ? size.Columns : null;

    /// <summary>Whether block and line characters are shown as such: the locale's encoding is UTF-8 (locale(7), in the order of setlocale(3)).</summary>
    public static bool TakesUnicode => EncodingVariables
        .Select(Environment.GetEnvironmentVariable)
        .FirstOrDefault(value => !string.IsNullOrEmpty(value))?
        .Replace("-", "", StringComparison.Ordinal).Contains("utf8", StringComparison.OrdinalIgnoreCase) ?? false;

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int IoControl(int file, ulong request, out WindowSize size);

    /// <summary>struct winsize.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct WindowSize
    {
        public ushort Rows;
        public ushort Columns;
        public ushort PixelsWide;
        public ushort PixelsHigh;
    }
}
