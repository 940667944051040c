namespace KaslrMt.Kernels;

/// <summary>What happens to a symbol's address when the kernel moves.</summary>
internal enum RelaSymbolKind : byte
{
    /// <summary>Not looked at yet.</summary>
    Unknown,

    /// <summary>Not defined in the kernel (a weak reference): it stays 0.</summary>
    Undefined,

    /// <summary>Moves with the kernel.</summary>
    Moves,

    /// <summary>A constant, not an address.</summary>
    Constant,

    /// <summary>An offset into zero-based per-CPU data: it stays while the code around it moves.</summary>
    PerCpu,

    /// <summary>Absolute, and nobody knows whether it is a constant or an address.</summary>
    Absolute,
}
