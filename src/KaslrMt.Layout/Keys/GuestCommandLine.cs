using System.Text;

namespace KaslrMt.Layout;

/// <summary>
/// A guest's kernel command line, with the paper's <c>kaslr_mt=KEY-BITMAP</c> taken out of it and its <c>nokaslr</c> noticed.
/// </summary>
/// <remarks>
/// Parameters are cut as the kernel cuts them: double quotes group, and behind a lone <c>--</c> everything belongs to init.
/// KEY may hold <c>-</c>: the bitmap is what follows the last one. More than one <c>kaslr_mt</c> is an error, for the two could disagree.
/// A <c>kaslr_mt</c> where the kernel takes no such parameter (inside another's quotes, behind <c>--</c>, in capitals, in a longer word)
/// is an error too: it would be left in the line and show the key to the guest.
/// </remarks>
public sealed class GuestCommandLine : IDisposable
{
    private const string ParameterName = "kaslr_mt";
    private const string Example = "write kaslr_mt=KEY-BITMAP, for example kaslr_mt=KEY-110010";

    private GuestCommandLine(string text, TenantKey? key, Policy? policy, bool disablesKaslr)
    {
        Text = text;
        Key = key;
        Policy = policy;
        DisablesKaslr = disablesKaslr;
    }

    /// <summary>The line the guest may see: as given, without <c>kaslr_mt</c> and the white space behind it.</summary>
    public string Text { get; }

    /// <summary>The key of <c>kaslr_mt</c>, or null where the line has none. Disposed of with this object.</summary>
    public TenantKey? Key { get; }

    /// <summary>The policy of <c>kaslr_mt</c>, or null where the line has none.</summary>
    public Policy? Policy { get; }

    /// <summary>Whether <c>nokaslr</c> stands in the line as a word of its own before <c>--</c>. It stays in <see cref="Text"/>.</summary>
    public bool DisablesKaslr { get; }

    /// <summary>Reads a command line.</summary>
    /// <exception cref="KaslrMtException">
    /// KMT1001, KMT1003–KMT1006 for a <c>kaslr_mt</c> that is malformed, repeated or exposed, or a NUL in the line;
    /// KMT1101–KMT1108 for its key.
    /// </exception>
    public static GuestCommandLine Parse(ReadOnlySpan<char> line)
    {
        if (line.Contains('\0'))
        {
            throw new KaslrMtException(
                LayoutErrors.CommandLineNul, "the guest command line holds a NUL character", "the kernel would cut it there: remove it");
        }

        var kept = new StringBuilder(line.Length);
        TenantKey? key = null;
        try
        {
            bool disablesKaslr = false;
            Policy? policy = null;
            ReadOnlySpan<char> rest = TakeSpaces(line, kept);
            while (!rest.IsEmpty)
            {
                KernelParameter parameter = KernelParameter.First(rest);
                if (parameter.EndsKernelParameters)
                {
                    kept.Append(rest);
                    break;
                }

                rest = rest[parameter.Raw.Length..];
                bool taken = parameter.IsNamed(ParameterName);
                if (taken)
                {
                    RequireFirst(policy);
                    (key, policy) = ReadKaslrMt(parameter);
                }
                else
                {
                    kept.Append(parameter.Raw);
                    disablesKaslr |= parameter.Raw is "nokaslr";
                }

                rest = TakeSpaces(rest, taken ? null : kept);
            }

            string text = policy is null ? kept.ToString() : kept.ToString().TrimEnd(' ');
            RequireNoTrace(text);
            return new GuestCommandLine(text, key, policy, disablesKaslr);
        }
        catch
        {
            key?.Dispose();
            throw;
        }
    }

    /// <summary>What a parameter of the kernel is set to: where it is repeated, by its last mention, as the kernel obeys it.</summary>
    /// <param name="name">The parameter; <c>-</c> and <c>_</c> are one.</param>
    /// <returns>Empty when it stands there without a value, null when it does not.</returns>
    public string? ValueOf(ReadOnlySpan<char> name)
    {
        string? value = null;
        for (ReadOnlySpan<char> rest = TakeSpaces(Text, null); !rest.IsEmpty;)
        {
            KernelParameter parameter = KernelParameter.First(rest);
            if (parameter.EndsKernelParameters)
            {
                break;
            }

            value = parameter.IsNamed(name) ? parameter.Value.ToString() : value;
            rest = TakeSpaces(rest[parameter.Raw.Length..], null);
        }

        return value;
    }

    /// <summary>Zeroes the key.</summary>
    public void Dispose() => Key?.Dispose();

    /// <summary>The line the guest may see; it holds no key.</summary>
    public override string ToString() => Text;

    private static (TenantKey Key, Policy Policy) ReadKaslrMt(KernelParameter parameter)
    {
        int dash = parameter.Value.LastIndexOf('-');
        if (dash < 0)
        {
            throw new KaslrMtException(
                LayoutErrors.KaslrMtMalformed,
                parameter.HasValue ? "kaslr_mt has no '-' and so no bitmap" : "kaslr_mt has no value",
                Example);
        }

        // What follows the dash may be the tail of a key whose bitmap was forgotten; Policy.Parse quotes nothing but 0 and 1.
        var policy = Layout.Policy.Parse(parameter.Value[(dash + 1)..]);
        return (TenantKey.Parse(parameter.Value[..dash]), policy);
    }

    private static void RequireFirst(Policy? earlier)
    {
        if (earlier is not null)
        {
            throw new KaslrMtException(LayoutErrors.KaslrMtRepeated, "the guest command line has more than one kaslr_mt", "keep one");
        }
    }

    /// <summary>Refuses a line in which the name is left, in any spelling: nobody would remove the key behind it.</summary>
    private static void RequireNoTrace(string text)
    {
        // No parameter of the kernel has this in its name, so there is no line to be sorry for.
        // Without its separator it may be a word of somebody's, such as a host's name, unless a value follows.
        string bare = text.Replace("\"", "", StringComparison.Ordinal).Replace('-', '_');
        if (bare.Contains(ParameterName, StringComparison.OrdinalIgnoreCase)
            || bare.Replace("_", "", StringComparison.Ordinal).Contains("kaslrmt=", StringComparison.OrdinalIgnoreCase))
        {
            throw new KaslrMtException(
                LayoutErrors.KaslrMtExposed,
                "kaslr_mt stands in quotes, behind '--' or in another word or spelling, where the guest would see the key",
                Example);
        }
    }

    private static ReadOnlySpan<char> TakeSpaces(ReadOnlySpan<char> text, StringBuilder? kept)
    {
        int count = 0;
        while (count < text.Length && KernelParameter.IsSpace(text[count]))
        {
            count++;
        }

        kept?.Append(text[..count]);
        return text[count..];
    }
}
