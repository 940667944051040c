using System.Collections.Immutable;

namespace KaslrMt.Guests;

/// <summary>The modules of two guests beside one another: the paper's Figure 6, for any two.</summary>
/// <remarks>
/// Modules are loaded at userspace's requests, whose order differs from boot to boot; an address depends on all that was loaded before
/// (the paper's section 9).
/// </remarks>
public sealed class ModuleComparison
{
    private ModuleComparison(ImmutableArray<Row> rows, string? firstDifference)
    {
        Rows = rows;
        FirstDifference = firstDifference;
    }

    /// <summary>Every module of either, in the first guest's load order; those that only the second has follow, in its order.</summary>
    public ImmutableArray<Row> Rows { get; }

    /// <summary>How many modules both have.</summary>
    public int Common => Rows.Count(row => row.First is not null && row.Second is not null);

    /// <summary>How many modules both have at the same address.</summary>
    public int SameAddress => Rows.Count(row => row.HasSameAddress);

    /// <summary>Of the modules both have, in the first guest's order, the first that the second loaded in another place among them; null for equal orders.</summary>
    public string? FirstDifference { get; }

    /// <summary>Compares.</summary>
    public static ModuleComparison Of(GuestModules first, GuestModules second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);

        // A kernel has no two modules of one name; a hostile one's second is left out.
        Dictionary<string, Position> others = [];
        for (int i = 0; i < second.InLoadOrder.Length; i++)
        {
            others.TryAdd(second.InLoadOrder[i].Name, new Position(i, second.InLoadOrder[i]));
        }

        var rows = ImmutableArray.CreateBuilder<Row>();
        HashSet<string> seen = [];
        for (int i = 0; i < first.InLoadOrder.Length; i++)
        {
            GuestModule module = first.InLoadOrder[i];
            if (seen.Add(module.Name))
            {
                rows.Add(new Row(module.Name, new Position(i, module), others.TryGetValue(module.Name, out Position other) ? other : null));
            }
        }

        Row[] common = [.. rows.Where(row => row.Second is not null)];
        rows.AddRange(others.Where(pair => !seen.Contains(pair.Key)).OrderBy(pair => pair.Value.Index).Select(pair => new Row(pair.Key, null, pair.Value)));
        IEnumerable<string> secondOrder = common.OrderBy(row => row.Second!.Value.Index).Select(row => row.Name);
        int difference = common.Select(row => row.Name).Zip(secondOrder).TakeWhile(pair => pair.First == pair.Second).Count();
        return new ModuleComparison(rows.ToImmutable(), difference < common.Length ? common[difference].Name : null);
    }

    /// <summary>A module's place in a guest.</summary>
    /// <param name="Index">Its number in load order, from 0.</param>
    /// <param name="Module">The module.</param>
    public readonly record struct Position(int Index, GuestModule Module);

    /// <summary>A module of either guest.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="First">In the first guest; null when it is not there.</param>
    /// <param name="Second">In the second.</param>
    public sealed record Row(string Name, Position? First, Position? Second)
    {
        /// <summary>Whether both have it at the same address.</summary>
        public bool HasSameAddress => First?.Module.Address is VirtualAddress address && Second?.Module.Address == address;
    }
}
