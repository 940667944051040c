namespace KaslrMt.Kernels;

/// <summary>The <c>sh_flags</c> of a section header.</summary>
[Flags]
public enum ElfSectionFlags : ulong
{
    /// <summary>Neither of the others.</summary>
    None = 0,

    /// <summary>May be written.</summary>
    Write = 1,

    /// <summary>Occupies memory when the kernel runs.</summary>
    Allocate = 2,

    /// <summary>Holds instructions.</summary>
    Execute = 4,
}
