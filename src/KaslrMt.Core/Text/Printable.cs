using System.Text;

namespace KaslrMt;

/// <summary>Makes text from outside (QEMU, the guest, the operator) fit for one line of a message.</summary>
public static class Printable
{
    /// <summary>The text without control characters, at most <paramref name="limit"/> characters of it.</summary>
    public static string Of(string? text, int limit = 400)
    {
        StringBuilder clean = new();
        foreach (char c in text ?? "")
        {
            if (clean.Length == limit)
            {
                return clean.Append('…').ToString();
            }

            clean.Append(char.IsControl(c) || char.IsSurrogate(c) ? ' ' : c);
        }

        return clean.ToString().Trim();
    }
}
