namespace KaslrMt.Sharing;

/// <summary>How the pages of guests repeat, by how many of them there are, and by class with all of them.</summary>
/// <param name="Curve">By the number of guests.</param>
/// <param name="Table">With all of them.</param>
public sealed record GuestCurve(SharingCurve Curve, SharingTable Table)
{
    /// <summary>Compares guests once for all numbers of them.</summary>
    /// <param name="guests">The guests, standing still; their memories are read once more.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT50xx when a guest goes away.</exception>
    public static GuestCurve Of(IReadOnlyList<GuestPages> guests, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(guests);
        EqualPages equal = EqualPages.Group(guests, compareBytes: true, cancellationToken);
        return new GuestCurve(equal.Curve(), equal.Count());
    }
}
