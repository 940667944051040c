namespace KaslrMt.Kernels;

/// <summary>A symbol of the kernel, kept for later.</summary>
/// <param name="Index">Its number in the tables: ascending addresses.</param>
/// <param name="Type">Its type as in <c>nm</c> and <c>/proc/kallsyms</c>: T text, D data, R read-only, B bss, A absolute; lower case is local.</param>
/// <param name="Name">Its name.</param>
/// <param name="Address">Its address, or for an absolute (per-CPU) symbol its value.</param>
public readonly record struct KallsymsSymbol(int Index, char Type, string Name, VirtualAddress Address)
{
    /// <summary>Type and name. The address of a running kernel is a secret and not shown.</summary>
    public override string ToString() => $"{Type} {Name}";
}
