namespace KaslrMt.Kernels;

/// <summary>Why a kernel cannot be given a layout from outside (KMT25xx).</summary>
public static class PatchErrors
{
    /// <summary>A symbol that the patch stands on is missing.</summary>
    public static readonly ErrorCode MissingSymbol = new(2501, ErrorCategory.Relocation);

    /// <summary>The call that must be redirected is not there, or there more than once.</summary>
    public static readonly ErrorCode CallSite = new(2502, ErrorCategory.Relocation);

    /// <summary>A variable does not hold the value every 4-level kernel is linked with, or has no bytes in the image.</summary>
    public static readonly ErrorCode Variable = new(2503, ErrorCategory.Relocation);

    /// <summary>The arithmetic behind the module offset is not one of those known.</summary>
    public static readonly ErrorCode ModuleOffset = new(2504, ErrorCategory.Relocation);

    /// <summary>The kernel was built with something that fixes its regions in place (KASAN).</summary>
    public static readonly ErrorCode FixedRegions = new(2505, ErrorCategory.Relocation);

    /// <summary>The image's segments are not those of a kernel that can be moved (link base, alignment, entry).</summary>
    public static readonly ErrorCode Geometry = new(2506, ErrorCategory.Relocation);

    /// <summary>The kernel loads modules in a way that is not known: it cannot be made to place them by name.</summary>
    public static readonly ErrorCode ModuleNames = new(2507, ErrorCategory.Relocation);
}
