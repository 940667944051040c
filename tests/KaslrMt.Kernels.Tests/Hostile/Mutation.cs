using System.Diagnostics;
using System.Globalization;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace KaslrMt.Kernels.Tests;

/// <summary>
/// Runs a check over many mutants. Each mutant has a seed of its own, printed when it fails; KASLRMT_MUTATION_SEED set to that
/// number repeats it as the first of the run; KASLRMT_MUTATION_FACTOR makes that many times as many. Each must end in time and without much memory, whatever it claims to be.
/// </summary>
internal static class Mutation
{
    private const string SeedVariable = "KASLRMT_MUTATION_SEED";

    private const string FactorVariable = "KASLRMT_MUTATION_FACTOR";

    // Generous: microseconds to 0.2 s are usual, on a machine with nothing else to do.
    private const int LongestSeconds = 20;

    // Of the managed heap, by this thread; an image itself lies outside of it, and is bounded by its file's size.
    private const long MostMemory = 256L << 20;

    /// <summary>Runs the check on <paramref name="count"/> seeds; checks that some but not all mutants are used, else the mutations say nothing.</summary>
    /// <param name="output">Where the seed is printed.</param>
    /// <param name="count">How many mutants.</param>
    /// <param name="codes">The numbers of the errors that these mutants may end in.</param>
    /// <param name="accepts">The check: true for a mutant that is used, false or a numbered error for one that is refused.</param>
    internal static void Run(ITestOutputHelper output, int count, Range codes, Func<Random, bool> accepts)
    {
        string? given = Environment.GetEnvironmentVariable(SeedVariable);
        int first = given is null ? Random.Shared.Next() : int.Parse(given, CultureInfo.InvariantCulture);
        count *= int.Parse(Environment.GetEnvironmentVariable(FactorVariable) ?? "1", CultureInfo.InvariantCulture);
        output.WriteLine($"{SeedVariable}={first}, {count} mutants");
        int accepted = 0;
        for (int index = 0; index < count; index++)
        {
            int seed = unchecked(first + index) & int.MaxValue;
            long allocated = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            try
            {
                accepted += Accepts(accepts, new Random(seed), codes) ? 1 : 0;
                Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, LongestSeconds);
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - allocated, 0, MostMemory);
            }
            catch (Exception exception)
            {
                throw new XunitException($"{SeedVariable}={seed} repeats this: {exception}");
            }
        }

        output.WriteLine($"{accepted} accepted");
        Assert.InRange(accepted, 1, count - 1);
    }

    private static bool Accepts(Func<Random, bool> accepts, Random random, Range codes)
    {
        try
        {
            return accepts(random);
        }
        catch (KaslrMtException exception)
        {
            Assert.InRange(exception.Code.Number, codes.Start.Value, codes.End.Value);
            Assert.DoesNotContain(exception.Message, char.IsControl);
            return false;
        }
    }

    /// <summary>Mutates a part of an image in place, and restores it: a copy of 50 MB for each mutant would be most of the time.</summary>
    internal static bool InPlace(byte[] image, Range part, Random random, Func<bool> check)
    {
        byte[] saved = image[part];
        try
        {
            Mutate(random, image.AsSpan(part));
            return check();
        }
        finally
        {
            saved.CopyTo(image.AsSpan(part));
        }
    }

    /// <summary>Changes one to four fields: a flipped bit, a random value, or one of the values at which checks go wrong.</summary>
    internal static void Mutate(Random random, Span<byte> bytes)
    {
        for (int change = random.Next(1, 5); change > 0; change--)
        {
            int width = 1 << random.Next(4);
            int at = random.Next(bytes.Length / width) * width;
            Span<byte> field = bytes.Slice(at, width);
            switch (random.Next(4))
            {
                case 0:
                    field[random.Next(width)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    random.NextBytes(field);
                    break;
                case 2:
                    field.Fill(random.Next(2) == 0 ? (byte)0 : (byte)0xff);
                    break;
                default:
                    field[random.Next(width)] += (byte)(random.Next(2) == 0 ? 1 : 255);
                    break;
            }
        }
    }
}
