namespace KaslrMt.Kernels;

/// <summary>The numbered errors of a kernel's type information (BTF), 27xx.</summary>
public static class TypeErrors
{
    /// <summary>The bytes are no type information that this program reads: magic, version or header are wrong.</summary>
    public static readonly ErrorCode NotTypes = new(2701, ErrorCategory.Image);

    /// <summary>The type information is cut off, or contradicts itself.</summary>
    public static readonly ErrorCode Inconsistent = new(2702, ErrorCategory.Image);

    /// <summary>A structure, member or constant that was asked for is not in the type information.</summary>
    public static readonly ErrorCode Missing = new(2703, ErrorCategory.Image);
}
