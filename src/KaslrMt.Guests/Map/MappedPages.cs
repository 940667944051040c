namespace KaslrMt.Guests;

/// <summary>How many pages of a region are mapped with one kind of access.</summary>
/// <param name="Access">The kind.</param>
/// <param name="Small">Pages of 4 KiB.</param>
/// <param name="Large">Pages of 2 MiB.</param>
/// <param name="Huge">Pages of 1 GiB.</param>
public readonly record struct MappedPages(PageAccess Access, ulong Small, ulong Large, ulong Huge)
{
    /// <summary>Bytes in all.</summary>
    public ulong Bytes => (Small << 12) + (Large << 21) + (Huge << 30);

    /// <summary>These and one more.</summary>
    internal MappedPages With(ulong size) => size switch
    {
        1 << 12 => this with { Small = Small + 1 },
        1 << 21 => this with { Large = Large + 1 },
        _ => this with { Huge = Huge + 1 },
    };
}
