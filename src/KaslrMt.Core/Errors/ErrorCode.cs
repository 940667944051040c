using System.Globalization;

namespace KaslrMt;

/// <summary>A numbered error. The number is a promise: once released it keeps its meaning (<c>docs/errors.md</c> lists all).</summary>
/// <param name="Number">Four digits, printed as <c>KMT1203</c>.</param>
/// <param name="Category">What kind of thing went wrong.</param>
public readonly record struct ErrorCode(int Number, ErrorCategory Category)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"KMT{Number:D4}");
}
