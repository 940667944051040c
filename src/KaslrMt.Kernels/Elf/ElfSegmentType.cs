namespace KaslrMt.Kernels;

/// <summary>The <c>p_type</c> of a program header (System V gABI, chapter 5); other values keep their number.</summary>
public enum ElfSegmentType : uint
{
    /// <summary>Unused.</summary>
    Null = 0,

    /// <summary>Loaded into memory.</summary>
    Load = 1,

    /// <summary>Notes; a kernel's hold its build id and its Xen and PVH entry points.</summary>
    Note = 4,
}
