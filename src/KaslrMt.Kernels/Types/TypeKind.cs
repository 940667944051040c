namespace KaslrMt.Kernels;

/// <summary>What a type is; the numbers are those of <c>BTF_KIND_*</c> (<c>Documentation/bpf/btf.rst</c>).</summary>
public enum TypeKind
{
    // The kernel's kinds are types; their names cannot but be type names.
#pragma warning disable CA1720
    /// <summary>No type: <c>void</c>.</summary>
    Void = 0,

    /// <summary>An integer, character or truth value.</summary>
    Integer = 1,

    /// <summary>A pointer.</summary>
    Pointer = 2,

    /// <summary>An array.</summary>
    Array = 3,

    /// <summary>A structure.</summary>
    Struct = 4,

    /// <summary>A union.</summary>
    Union = 5,

    /// <summary>An enumeration of 32-bit values.</summary>
    Enum = 6,

    /// <summary>A structure or union that is declared and not defined.</summary>
    Forward = 7,

    /// <summary>Another name for a type.</summary>
    Typedef = 8,

    /// <summary>A type with <c>volatile</c>.</summary>
    Volatile = 9,

    /// <summary>A type with <c>const</c>.</summary>
    Const = 10,

    /// <summary>A type with <c>restrict</c>.</summary>
    Restrict = 11,

    /// <summary>A function.</summary>
    Function = 12,

    /// <summary>A function's parameters and result.</summary>
    FunctionPrototype = 13,

    /// <summary>A variable.</summary>
    Variable = 14,

    /// <summary>A section of variables.</summary>
    DataSection = 15,

    /// <summary>A floating-point number.</summary>
    Float = 16,

    /// <summary>A remark on a declaration.</summary>
    DeclarationTag = 17,

    /// <summary>A remark on a type.</summary>
    TypeTag = 18,

    /// <summary>An enumeration of 64-bit values.</summary>
    Enum64 = 19,
#pragma warning restore CA1720
}
