using System.Globalization;

namespace KaslrMt.Cli.Output;

/// <summary>How long ago something was, for people: its two largest units.</summary>
internal static class Age
{
    public static string Of(DateTimeOffset then) => Of(DateTimeOffset.UtcNow - then);

    private static string Of(TimeSpan age) => age switch
    {
        { TotalDays: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)age.TotalDays}d{age.Hours}h"),
        { TotalHours: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)age.TotalHours}h{age.Minutes}m"),
        { TotalMinutes: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)age.TotalMinutes}m{age.Seconds}s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)Math.Max(0, age.TotalSeconds)}s"),
    };
}
