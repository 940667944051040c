using System.Collections.Immutable;
using KaslrMt.Guests;
using KaslrMt.Layout;

namespace KaslrMt.Sharing;

/// <summary>What was measured with one policy.</summary>
/// <param name="Policy">Which regions have one base for all probes (1) and which are random for each (0).</param>
/// <param name="Probes">How many probes were compared.</param>
/// <param name="Classes">The paper's six classes.</param>
public sealed record PolicyEquality(Policy Policy, int Probes, ImmutableArray<ClassEquality> Classes);

/// <summary>How much randomizing a region costs a class of pages (the paper, section 5.7 and Table 7).</summary>
public enum ImpactLevel
{
    /// <summary>Less than 5 % of the equal pages are lost.</summary>
    None,

    /// <summary>5 to 15 %.</summary>
    Low,

    /// <summary>15 to 30 %.</summary>
    Medium,

    /// <summary>More than 30 %.</summary>
    High,
}

/// <summary>One cell of Table 7.</summary>
/// <param name="Region">What is randomized.</param>
/// <param name="Class">The pages that it makes differ.</param>
/// <param name="Fixed">The mean share of equal pages (0 to 1) over all policies that keep the region's base.</param>
/// <param name="Random">The same over the policies that randomize it and agree in all other regions.</param>
/// <param name="Loss">The relative loss, 0 to 1; below 0 for a gain, which is noise.</param>
public sealed record Impact(Region Region, PageClass Class, double Fixed, double Random, double Loss)
{
    /// <summary>The paper's word for it.</summary>
    public ImpactLevel Level => Loss switch
    {
        < 0.05 => ImpactLevel.None,
        < 0.15 => ImpactLevel.Low,
        <= 0.30 => ImpactLevel.Medium,
        _ => ImpactLevel.High,
    };
}

/// <summary>The impact table.</summary>
public static class ImpactTable
{
    /// <summary>Computes it.</summary>
    /// <param name="policies">What was measured. A policy counts for a region when its partner, which differs in that region alone, was measured too.</param>
    /// <param name="share">Which share to look at.</param>
    /// <returns>A cell for each region that has pairs, and each class.</returns>
    public static ImmutableArray<Impact> Of(IReadOnlyList<PolicyEquality> policies, Func<ClassEquality, double> share)
    {
        ArgumentNullException.ThrowIfNull(policies);
        ArgumentNullException.ThrowIfNull(share);
        Dictionary<string, PolicyEquality> known = policies.ToDictionary(policy => policy.Policy.ToString());
        List<Impact> table = [];
        foreach (Region region in Enum.GetValues<Region>())
        {
            (PolicyEquality Fixed, PolicyEquality Random)[] pairs = [.. policies
                .Where(policy => policy.Policy.ScopeOf(region) == Scope.PerTenant && known.ContainsKey(Randomizing(policy.Policy, region)))
                .Select(policy => (policy, known[Randomizing(policy.Policy, region)]))];
            for (int i = 0; pairs.Length > 0 && i < SharingTable.KernelClasses.Length; i++)
            {
                double kept = pairs.Average(pair => share(pair.Fixed.Classes[i])), random = pairs.Average(pair => share(pair.Random.Classes[i]));
                table.Add(new Impact(region, SharingTable.KernelClasses[i], kept, random, kept == 0 ? 0 : (kept - random) / kept));
            }
        }

        return [.. table];
    }

    private static string Randomizing(Policy policy, Region region)
    {
        char[] digits = policy.ToString().ToCharArray();
        digits[Policy.Digits - 1 - (int)region] = '0';
        return new string(digits);
    }
}
