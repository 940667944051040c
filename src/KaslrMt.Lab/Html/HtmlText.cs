using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Encodings.Web;

namespace KaslrMt.Lab.Html;

/// <summary>HTML that grows. What is interpolated is text and is encoded; only literals, and other <see cref="HtmlText"/>, are markup.</summary>
internal sealed class HtmlText
{
    private readonly StringBuilder _text = new();

    /// <summary>Adds markup with text in it.</summary>
    public HtmlText Add([InterpolatedStringHandlerArgument("")] ref Encoder markup)
    {
        _ = markup;
        return this;
    }

    /// <summary>Adds markup that is written in the sources.</summary>
    public HtmlText Markup([ConstantExpected] string markup)
    {
        _text.Append(markup);
        return this;
    }

    /// <summary>Adds markup that this program made, or carries as a resource.</summary>
    public HtmlText Trusted(string markup)
    {
        _text.Append(markup);
        return this;
    }

    /// <summary>The HTML.</summary>
    public override string ToString() => _text.ToString();

    /// <summary>Encodes what is interpolated.</summary>
    [InterpolatedStringHandler]
    internal readonly ref struct Encoder
    {
        // Longer than any text of this program's own; lists of what somebody else named end here.
        private const int Longest = 3000;

        private readonly StringBuilder _text;

        public Encoder(int literalLength, int formattedCount, HtmlText text)
        {
            _ = (literalLength, formattedCount);
            _text = text._text;
        }

        public void AppendLiteral(string markup) => _text.Append(markup);

        public void AppendFormatted(HtmlText? markup) => _text.Append(markup?._text);

        public void AppendFormatted(string? text) => _text.Append(HtmlEncoder.Default.Encode(Printable.Of(text, Longest)));

        public void AppendFormatted(long number) => _text.Append(CultureInfo.InvariantCulture, $"{number}");

        public void AppendFormatted(int number) => AppendFormatted((long)number);
    }
}
