namespace KaslrMt.Kernels;

/// <summary>A member of a structure, found by its path.</summary>
/// <param name="Offset">Bytes from the start of the outermost structure; of a bit field, of the byte that holds its lowest bit.</param>
/// <param name="BitOffset">A bit field's lowest bit in that byte, 0 to 7; 0 for everything else.</param>
/// <param name="BitSize">A bit field's bits; 0 for everything else.</param>
/// <param name="Type">Its type.</param>
public readonly record struct Field(int Offset, int BitOffset, int BitSize, DataType Type)
{
    /// <summary>The size of its type in bytes.</summary>
    /// <exception cref="KaslrMtException">KMT2702.</exception>
    public int Size => Type.Size;
}
