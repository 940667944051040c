using System.Diagnostics;

namespace KaslrMt.Bench;

/// <summary>Measures two things by turns, so that a loaded moment of the machine falls on both.</summary>
internal static class Stopwatches
{
    /// <summary>The medians, in ms, of as many alternating pairs, after one pair that does not count.</summary>
    public static (double First, double Second) Alternate(int pairs, Action first, Action second)
    {
        List<double> firsts = [];
        List<double> seconds = [];
        for (int pair = -1; pair < pairs; pair++)
        {
            double a = Milliseconds(first);
            double b = Milliseconds(second);
            if (pair >= 0)
            {
                firsts.Add(a);
                seconds.Add(b);
            }
        }

        return (Median(firsts), Median(seconds));
    }

    /// <summary>The median; of an even number of values, the mean of the two in the middle.</summary>
    public static double Median(List<double> values)
    {
        values.Sort();
        return (values[(values.Count - 1) / 2] + values[values.Count / 2]) / 2;
    }

    /// <summary>Runs a program to its end, without its output.</summary>
    public static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.StandardOutput.BaseStream.CopyTo(Stream.Null);
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{program} ended with {process.ExitCode}: {error}");
        }
    }

    private static double Milliseconds(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
