namespace KaslrMt.Guests;

/// <summary>What may be done with a page, by the flags of its translation. Every page that is mapped can be read by the kernel.</summary>
/// <param name="Writable">W.</param>
/// <param name="Executable">X.</param>
/// <param name="User">U: user mode may do the same.</param>
/// <param name="Global">G.</param>
public readonly record struct PageAccess(bool Writable, bool Executable, bool User, bool Global) : IComparable<PageAccess>
{
    /// <summary>Of a mapping.</summary>
    public static PageAccess Of(in Mapping mapping) => new(mapping.IsWritable, mapping.IsExecutable, mapping.IsUser, mapping.IsGlobal);

    /// <summary>Whether <paramref name="left"/> allows less.</summary>
    public static bool operator <(PageAccess left, PageAccess right) => left.Order < right.Order;

    /// <summary>Whether <paramref name="left"/> allows more.</summary>
    public static bool operator >(PageAccess left, PageAccess right) => left.Order > right.Order;

    /// <summary>Whether <paramref name="left"/> allows less or the same.</summary>
    public static bool operator <=(PageAccess left, PageAccess right) => left.Order <= right.Order;

    /// <summary>Whether <paramref name="left"/> allows more or the same.</summary>
    public static bool operator >=(PageAccess left, PageAccess right) => left.Order >= right.Order;

    private int Order => (User ? 8 : 0) + (Executable ? 4 : 0) + (Writable ? 2 : 0) + (Global ? 1 : 0);

    /// <inheritdoc/>
    public int CompareTo(PageAccess other) => Order.CompareTo(other.Order);

    /// <summary>As <c>rw-</c>, with <c>u</c> for user mode and <c>g</c> for global behind it.</summary>
    public override string ToString() => $"r{(Writable ? 'w' : '-')}{(Executable ? 'x' : '-')}{(User ? "u" : "")}{(Global ? "g" : "")}";
}
