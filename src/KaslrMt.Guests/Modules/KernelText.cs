using System.Text;

namespace KaslrMt.Guests;

/// <summary>Text that a guest wrote, made fit to be shown.</summary>
internal static class KernelText
{
    /// <summary>The text up to its zero, or all of it; what is not printable ASCII becomes a question mark.</summary>
    internal static string Of(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf((byte)0);
        Span<byte> text = bytes[..(end < 0 ? bytes.Length : end)].ToArray();
        foreach (ref byte letter in text)
        {
            letter = letter is >= 0x20 and <= 0x7e ? letter : (byte)'?';
        }

        return Encoding.ASCII.GetString(text);
    }
}
