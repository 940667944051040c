using KaslrMt.Guests;

namespace KaslrMt.Sharing;

/// <summary>What some running guests share, could share, and do not because their layouts differ.</summary>
/// <param name="Guests">The guests.</param>
/// <param name="Table">How their pages repeat.</param>
/// <param name="CodeKeptApart">
/// Pages of kernel code that guests of one kernel release would share if all had one layout, and do not: what randomization costs where nothing
/// else makes pages differ.
/// </param>
public sealed record GuestSharing(IReadOnlyList<GuestPages> Guests, SharingTable Table, long CodeKeptApart)
{
    /// <summary>Compares guests.</summary>
    /// <param name="guests">The guests; their memories are read once more.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT50xx when a guest goes away.</exception>
    public static GuestSharing Of(IReadOnlyList<GuestPages> guests, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(guests);
        SharingTable table = EqualPages.Group(guests, compareBytes: true, cancellationToken).Count();
        long atBest = 0;
        foreach (IGrouping<string, GuestPages> same in guests.GroupBy(guest => guest.Release))
        {
            int[] code = [.. same.Select(guest => guest.Classes.Count(PageClass.KernelCode))];
            atBest += code.Sum() - code.Max();
        }

        return new GuestSharing(guests, table, Math.Max(0, atBest - table[PageClass.KernelCode].Redundant));
    }
}
