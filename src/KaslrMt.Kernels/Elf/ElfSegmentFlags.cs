namespace KaslrMt.Kernels;

/// <summary>The <c>p_flags</c> of a program header.</summary>
[Flags]
public enum ElfSegmentFlags : uint
{
    /// <summary>Neither of the others.</summary>
    None = 0,

    /// <summary>May be executed.</summary>
    Execute = 1,

    /// <summary>May be written.</summary>
    Write = 2,

    /// <summary>May be read.</summary>
    Read = 4,
}
