namespace KaslrMt.Cli.Guests;

/// <summary>Whose memory a command is to look into.</summary>
internal sealed record GuestReference
{
    private const string ProcessPrefix = "pid:";
    private const string RamPrefix = "ram:";
    private const string CorePrefix = "core:";

    /// <summary>The name of a VM of ours.</summary>
    public string? Name { get; init; }

    /// <summary>The process of anybody's QEMU.</summary>
    public int? Process { get; init; }

    /// <summary>The QMP socket of that QEMU; null to look for one.</summary>
    public string? Monitor { get; init; }

    /// <summary>A file of raw RAM.</summary>
    public string? Ram { get; init; }

    /// <summary>The machine type that says where the file's RAM lies; null for one run from address 0.</summary>
    public string? Machine { get; init; }

    /// <summary>An ELF core.</summary>
    public string? Core { get; init; }

    /// <summary>Whether the guest is to stand still meanwhile.</summary>
    public bool Pause { get; init; }

    /// <summary>Reads the short form, where a command takes several guests: <c>NAME</c>, <c>pid:N</c>, <c>ram:FILE</c> or <c>core:FILE</c>.</summary>
    /// <exception cref="KaslrMtException">KMT9001 for a number that is none.</exception>
    public static GuestReference Parse(string text) =>
        text.StartsWith(RamPrefix, StringComparison.Ordinal) ? new GuestReference { Ram = text[RamPrefix.Length..] }
        : text.StartsWith(CorePrefix, StringComparison.Ordinal) ? new GuestReference { Core = text[CorePrefix.Length..] }
        : text.StartsWith(ProcessPrefix, StringComparison.Ordinal) ? new GuestReference { Process = GuestOptions.ParseProcess(text[ProcessPrefix.Length..]) }
        : new GuestReference { Name = text };

    /// <summary>What a person calls it.</summary>
    public override string ToString() => Name ?? (Process is int pid ? $"QEMU process {pid}" : Printable.Of(Path.GetFileName(Ram ?? Core ?? "")));
}
