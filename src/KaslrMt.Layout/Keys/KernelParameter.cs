namespace KaslrMt.Layout;

/// <summary>One parameter of a kernel command line, cut as <c>next_arg</c> of the kernel's <c>lib/cmdline.c</c> cuts it.</summary>
/// <remarks>
/// White space separates parameters except between double quotes. There is no escape. A quote that opens the parameter or its value is
/// not part of it, nor is the one that ends it; a quote that is never closed runs to the end of the line.
/// </remarks>
internal readonly ref struct KernelParameter
{
    /// <summary>The parameter as written, with its quotes.</summary>
    internal ReadOnlySpan<char> Raw { get; private init; }

    /// <summary>What stands before the first <c>=</c>, or everything when there is none.</summary>
    internal ReadOnlySpan<char> Name { get; private init; }

    /// <summary>What stands behind the first <c>=</c>; empty when there is none.</summary>
    internal ReadOnlySpan<char> Value { get; private init; }

    /// <summary>Whether there is a <c>=</c>.</summary>
    internal bool HasValue { get; private init; }

    /// <summary>Whether this is <c>--</c>, behind which the kernel hands everything to init.</summary>
    internal bool EndsKernelParameters => !HasValue && Name is "--";

    /// <summary>Cuts the first parameter from text that starts with neither white space nor its end.</summary>
    internal static KernelParameter First(ReadOnlySpan<char> text)
    {
        bool opened = text[0] == '"';
        bool quoted = false;
        int equals = 0;
        int begin = opened ? 1 : 0;
        int end = 0;
        for (; end < text.Length && (quoted || !IsSpace(text[end])); end++)
        {
            // As in the kernel, a '=' that comes first is part of the name.
            equals = equals == 0 && text[end] == '=' && end > begin ? end : equals;
            quoted ^= text[end] == '"';
        }

        bool hasValue = equals > 0;
        bool valueQuoted = hasValue && equals + 1 < end && text[equals + 1] == '"';

        // One closing quote goes, whichever opening quote it answers; it may be the opening quote itself.
        bool closed = (opened || valueQuoted) && end > begin && text[end - 1] == '"';
        int bodyEnd = closed ? end - 1 : end;
        int valueBegin = valueQuoted ? equals + 2 : equals + 1;
        return new KernelParameter
        {
            Raw = text[..end],
            Name = text[begin..(hasValue ? equals : bodyEnd)],
            Value = hasValue && valueBegin < bodyEnd ? text[valueBegin..bodyEnd] : [],
            HasValue = hasValue,
        };
    }

    /// <summary>Whether the name is this one; the kernel takes <c>-</c> and <c>_</c> in names as equal (<c>parameq</c>).</summary>
    internal bool IsNamed(ReadOnlySpan<char> name)
    {
        if (Name.Length != name.Length)
        {
            return false;
        }

        for (int i = 0; i < name.Length; i++)
        {
            if ((Name[i] == '-' ? '_' : Name[i]) != (name[i] == '-' ? '_' : name[i]))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>White space in the kernel's sense (<c>isspace</c>), as far as ASCII goes.</summary>
    internal static bool IsSpace(char character) => character is ' ' or (>= '\t' and <= '\r');
}
