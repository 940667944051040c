using System.Globalization;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace KaslrMt.Kernels.Tests;

/// <summary>
/// Runs a check over many mutants. Each mutant has a seed of its own, printed when it fails; KASLRMT_MUTATION_SEED set to that
/// number repeats it as the first of the run.
/// </summary>
internal static class Mutation
{
    private const string SeedVariable = "KASLRMT_MUTATION_SEED";

    /// <summary>Runs the check on <paramref name="count"/> seeds; says how many mutants it returned true for.</summary>
    internal static int Run(ITestOutputHelper output, int count, Func<Random, bool> accepts)
    {
        string? given = Environment.GetEnvironmentVariable(SeedVariable);
        int first = given is null ? Random.Shared.Next() : int.Parse(given, CultureInfo.InvariantCulture);
        output.WriteLine($"{SeedVariable}={first}, {count} mutants");
        int accepted = 0;
        for (int index = 0; index < count; index++)
        {
            int seed = unchecked(first + index) & int.MaxValue;
            try
            {
                accepted += Accepts(accepts, new Random(seed)) ? 1 : 0;
            }
            catch (Exception exception)
            {
                throw new XunitException($"{SeedVariable}={seed} repeats this: {exception}");
            }
        }

        output.WriteLine($"{accepted} accepted");
        return accepted;
    }

    private static bool Accepts(Func<Random, bool> accepts, Random random)
    {
        try
        {
            return accepts(random);
        }
        catch (KaslrMtException exception)
        {
            Assert.InRange(exception.Code.Number, 2200, 2399);
            Assert.DoesNotContain(exception.Message, char.IsControl);
            return false;
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
