using System.Globalization;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;

namespace KaslrMt.Lab.Html;

/// <summary>How the page writes numbers.</summary>
internal static class Figures
{
    /// <summary>A share as per cent; a dash where there is none.</summary>
    public static string Percent(double? share) => share is double value ? (Math.Round(value * 100, 1, MidpointRounding.AwayFromZero) + 0.0).ToString("0.0;−0.0;0.0", CultureInfo.InvariantCulture) : "–";

    /// <summary>A share as per cent with its sign, for figures that are read alone.</summary>
    public static string PercentSign(double share) => $"{Percent(share)} %";

    /// <summary>A count with thousands apart.</summary>
    public static string Count(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>A number with a decimal where it has one.</summary>
    public static string Number(double? value) => value?.ToString("0.##", CultureInfo.InvariantCulture) ?? "–";

    /// <summary>Pages as MiB.</summary>
    public static string Mebibytes(double pages) => string.Create(CultureInfo.InvariantCulture, $"{pages * PageCensus.PageSize / ByteSize.MiB:N1} MiB");

    /// <summary>How many times one is of the other.</summary>
    public static string Times(double value, double of) => of > 0 ? string.Create(CultureInfo.InvariantCulture, $"{value / of:0.00} ×") : "–";

    /// <summary>When, where and how something was measured.</summary>
    public static IReadOnlyList<(string Label, string? Value)> Origin(Measurement? measured) =>
    [
        ("measured", measured is null ? "not recorded" : measured.Date.ToUniversalTime().ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)),
        ("host", measured?.Host),
        ("command", measured?.Command),
        ("version", measured?.Version),
    ];
}
