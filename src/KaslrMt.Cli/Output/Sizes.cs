using System.Globalization;

namespace KaslrMt.Cli.Output;

/// <summary>Sizes for people: three digits and a unit.</summary>
internal static class Sizes
{
    private const string Units = "BKMGTPE";

    /// <summary><c>4K</c>, <c>1.5G</c>, <c>32T</c>: powers of 1024.</summary>
    public static string Of(ulong bytes)
    {
        double value = bytes;
        int unit = 0;
        for (; value >= 1024 && unit < Units.Length - 1; unit++)
        {
            value /= 1024;
        }

        string digits = value.ToString(value < 10 ? "0.##" : value < 100 ? "0.#" : "0", CultureInfo.InvariantCulture);
        return digits + Units[unit];
    }
}
