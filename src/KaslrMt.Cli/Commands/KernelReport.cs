namespace KaslrMt.Cli.Commands;

/// <summary>What a kernel image is, as <c>kaslrmt kernel</c> reports it; what was not understood is null.</summary>
internal sealed record KernelReport
{
    public required string File { get; init; }

    public string? Release { get; init; }

    public required string Format { get; init; }

    public string? Protocol { get; init; }

    public string? Payload { get; init; }

    public int? PayloadBytes { get; init; }

    public int? UnpackedBytes { get; init; }

    public int? Relocations32 { get; init; }

    public int? RelocationsInverse { get; init; }

    public int? Relocations64 { get; init; }

    public int? Symbols { get; init; }

    public string? SymbolTable { get; init; }

    public string? LinkBase { get; init; }

    public string? LinkPhysical { get; init; }

    public ulong? ImageBytes { get; init; }

    public uint? Alignment { get; init; }

    public ulong? VirtualSlots { get; init; }

    public string? ModuleOffset { get; init; }

    public bool? DirectMapEnd { get; init; }

    public required bool Supported { get; init; }

    public string? Problem { get; init; }

    public string? Remedy { get; init; }
}
