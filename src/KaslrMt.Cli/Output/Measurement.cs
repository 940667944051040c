using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;

namespace KaslrMt.Cli.Output;

/// <summary>When, where and by which command something was measured: what makes a figure worth reading later.</summary>
/// <param name="Date">When it was done, UTC.</param>
/// <param name="Host">The host's kernel, processors and memory; never its name.</param>
/// <param name="Command">The command, as it was called.</param>
/// <param name="Version">This program's version.</param>
internal sealed partial record Measurement(DateTimeOffset Date, string Host, string Command, string Version)
{
    private static readonly string[] Targets = ["-o", "--output", "--html"];

    /// <summary>A measurement that ends now.</summary>
    public static Measurement Of(ParseResult call)
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        return new Measurement(
            now.AddTicks(-(now.Ticks % TimeSpan.TicksPerSecond)),
            DescribeHost(),
            CommandOf([.. call.Tokens.Select(token => token.Value)]),
            VersionLine.Version);
    }

    /// <summary>A command as it was called, without where its results go: that is no part of what was measured, and a path of somebody's machine.</summary>
    internal static string CommandOf(IReadOnlyList<string> words) =>
        string.Join(' ', words.Where((word, i) => !Targets.Contains(word) && (i == 0 || !Targets.Contains(words[i - 1]))).Prepend("kaslrmt"));

    private static string DescribeHost()
    {
        double gibibytes = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)ByteSize.GiB;
        string release = Environment.OSVersion.Version.ToString(3);
        string processor = Model().Match(File.Exists("/proc/cpuinfo") ? File.ReadAllText("/proc/cpuinfo") : "").Groups[1].Value;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"Linux {release}, {Environment.ProcessorCount} {(processor.Length > 0 ? $"× {processor.Trim()}" : "processors")}, {gibibytes:0.0} GiB");
    }

    [GeneratedRegex(@"(?m)^model name\s*:\s*(.+)$")]
    private static partial Regex Model();
}
