namespace KaslrMt.Layout;

/// <summary>One region of a layout. Secret: base, slots and window give the layout away.</summary>
/// <param name="Region">The region.</param>
/// <param name="Scope">Who shares the base.</param>
/// <param name="Base">The base in bytes: guest-physical for kernel-physical, virtual for the others.</param>
/// <param name="Slot">Which of the window's slots the base is.</param>
/// <param name="Window">Where the base could have been, given the regions drawn before it.</param>
public readonly record struct RegionLayout(Region Region, Scope Scope, ulong Base, ulong Slot, RegionWindow Window)
{
    /// <summary>How many bases the window holds.</summary>
    public ulong Slots => Window.Slots;

    /// <summary>Bits of entropy that the base keeps from somebody who knows all regions drawn before it: log2 of the slots.</summary>
    public double EntropyBits => Math.Log2(Window.Slots);

    /// <summary>The region's name; a base is never shown.</summary>
    public override string ToString() => Region.Name();
}
