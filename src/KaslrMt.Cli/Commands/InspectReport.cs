namespace KaslrMt.Cli.Commands;

/// <summary>A guest's address-space map, as <c>inspect</c> reports it. Holds the bases of that VM: it goes to standard output alone.</summary>
internal sealed record InspectReport
{
    public required string Guest { get; init; }

    /// <summary>The kernel's release.</summary>
    public required string Release { get; init; }

    /// <summary>What the kernel says of itself.</summary>
    public required string Banner { get; init; }

    /// <summary>Bytes of RAM that were looked at.</summary>
    public required ulong Memory { get; init; }

    /// <summary>Bytes of RAM that a file should hold and does not; null for none.</summary>
    public ulong? Missing { get; init; }

    /// <summary>Levels of page tables.</summary>
    public required int Levels { get; init; }

    /// <summary>Where the kernel lies in RAM.</summary>
    public required string KernelPhysical { get; init; }

    /// <summary>All regions, ascending, without gaps.</summary>
    public required IReadOnlyList<InspectedRegion> Regions { get; init; }

    /// <summary>Pages of 4 KiB of each class, all classes together all of RAM; null when the kernel's types do not tell.</summary>
    public IReadOnlyDictionary<string, long>? Pages { get; init; }

    /// <summary>Why there are no <see cref="Pages"/>.</summary>
    public string? PagesProblem { get; init; }

    /// <summary>Shows nothing: the bases are secrets of a running VM.</summary>
    public override string ToString() => nameof(InspectReport);

    /// <summary>One region; sizes in bytes.</summary>
    internal sealed record InspectedRegion(string Name, string Base, string Last, ulong Size, ulong Mapped, IReadOnlyList<InspectedPages> Pages)
    {
        /// <summary>Shows no address.</summary>
        public override string ToString() => Name;
    }

    /// <summary>Pages of one kind of access: how many of 4 KiB, 2 MiB and 1 GiB.</summary>
    internal sealed record InspectedPages(string Access, ulong Pages4K, ulong Pages2M, ulong Pages1G);
}
