namespace KaslrMt.Layout;

/// <summary>A stretch of guest-physical memory.</summary>
/// <param name="Start">Its first byte's address.</param>
/// <param name="Length">Its length in bytes.</param>
public readonly record struct PhysicalRange(PhysicalAddress Start, ulong Length)
{
    /// <summary>The address behind its last byte. Wraps for a range that <see cref="GuestMemoryMap"/> would refuse.</summary>
    public PhysicalAddress End => Start + Length;

    /// <summary>Start and end, the end not included.</summary>
    public override string ToString() => $"{Start}-{End}";
}
