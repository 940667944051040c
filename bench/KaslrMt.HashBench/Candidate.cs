using System.Diagnostics;
using KaslrMt.Guests;

namespace KaslrMt.HashBench;

/// <summary>One way to make a page's fingerprint.</summary>
internal sealed record Candidate(string Name, Func<byte[], int, ulong> Hash)
{
    private const int Rounds = 60;
    private const int WarmUps = 20;
    private const int Repeats = 16;

    /// <summary>Measures all candidates by turns on the same pages; returns each one's median, in ns a page.</summary>
    internal static double[] Measure(IReadOnlyList<Candidate> candidates, byte[] pages)
    {
        List<double>[] times = [.. candidates.Select(_ => new List<double>())];
        for (int round = -WarmUps; round < Rounds; round++)
        {
            for (int i = 0; i < candidates.Count; i++)
            {
                double time = candidates[i].Time(pages);
                if (round >= 0)
                {
                    times[i].Add(time);
                }
            }
        }

        return [.. times.Select(Median)];
    }

    internal static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private double Time(byte[] pages)
    {
        ulong sum = 0;
        long start = Stopwatch.GetTimestamp();
        for (int repeat = 0; repeat < Repeats; repeat++)
        {
            for (int at = 0; at < pages.Length; at += PageCensus.PageSize)
            {
                sum ^= Hash(pages, at);
            }
        }

        double time = Stopwatch.GetElapsedTime(start).TotalNanoseconds / (Repeats * pages.Length / PageCensus.PageSize);
        GC.KeepAlive(sum);
        return time;
    }
}
