using System.Globalization;

namespace KaslrMt.Sharing;

/// <summary>The files of kernel samepage merging: <c>/sys/kernel/mm/ksm</c> (<c>Documentation/admin-guide/mm/ksm.rst</c>).</summary>
/// <remarks>Which files there are depends on the kernel: <c>smart_scan</c> and <c>advisor_mode</c> came with 6.7 and 6.8, <c>general_profit</c> with 6.4.</remarks>
public sealed class KsmFolder
{
    /// <summary>Where the kernel has them.</summary>
    public const string DefaultPath = "/sys/kernel/mm/ksm";

    private const int LongestValue = 256;

    private KsmFolder(string path) => Path = path;

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>Opens the folder.</summary>
    /// <param name="path">Another folder, for a test.</param>
    /// <exception cref="KaslrMtException">KMT6011 when this kernel has no KSM.</exception>
    public static KsmFolder Open(string path = DefaultPath) => Directory.Exists(path)
        ? new KsmFolder(path)
        : throw new KaslrMtException(SharingErrors.KsmMissing, $"this host's kernel has no KSM: there is no {path}", "boot a kernel with CONFIG_KSM");

    /// <summary>A number.</summary>
    /// <returns>Null when this kernel has no such file.</returns>
    /// <exception cref="KaslrMtException">KMT6013 when it holds something else.</exception>
    public long? Number(string file) => Text(file) is not string text
        ? null
        : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)
            ? number
            : throw new KaslrMtException(SharingErrors.KsmRefused, $"{System.IO.Path.Combine(Path, file)} holds no number");

    /// <summary>A word; of a choice such as <c>[none] scan-time</c> the chosen one.</summary>
    /// <returns>Null when this kernel has no such file.</returns>
    public string? Word(string file)
    {
        if (Text(file) is not string text)
        {
            return null;
        }

        int open = text.IndexOf('[', StringComparison.Ordinal);
        int close = text.IndexOf(']', StringComparison.Ordinal);
        return open >= 0 && close > open ? text[(open + 1)..close] : text;
    }

    /// <summary>Writes a setting.</summary>
    /// <exception cref="KaslrMtException">KMT6012 without the right to; KMT6013 when the kernel refuses the value.</exception>
    public void Write(string file, string value)
    {
        string path = System.IO.Path.Combine(Path, file);
        try
        {
            // The kernel takes a value in one write; nothing may be truncated or created there.
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            stream.Write(System.Text.Encoding.ASCII.GetBytes(value + "\n"));
        }
        catch (UnauthorizedAccessException error)
        {
            throw new KaslrMtException(SharingErrors.KsmNotPermitted, $"{path} may not be written by this user", "run as root", error);
        }
        catch (IOException error)
        {
            throw new KaslrMtException(SharingErrors.KsmRefused, $"the kernel refused '{value}' for {path}: {error.Message}", inner: error);
        }
    }

    private string? Text(string file)
    {
        try
        {
            using var stream = new FileStream(System.IO.Path.Combine(Path, file), FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            Span<byte> bytes = stackalloc byte[LongestValue];
            return System.Text.Encoding.ASCII.GetString(bytes[..stream.Read(bytes)]).Split('\n')[0].Trim();
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(SharingErrors.KsmRefused, $"{System.IO.Path.Combine(Path, file)} cannot be read: {error.Message}", inner: error);
        }
    }
}
