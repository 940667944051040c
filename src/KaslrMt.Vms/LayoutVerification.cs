using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Vms;

/// <summary>The layout that a VM was given, beside what the VM's memory holds.</summary>
/// <param name="Regions">The six regions.</param>
public sealed record LayoutVerification(IReadOnlyList<VerifiedRegion> Regions)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    /// <summary>Gets whether every observed base is the intended one.</summary>
    public bool Matches => Regions.All(region => region.Observed is null || region.Observed == region.Intended);

    /// <summary>Compares, waiting until the guest's kernel has set up its memory.</summary>
    /// <param name="intended">What the VM was given.</param>
    /// <param name="vm">The VM.</param>
    /// <param name="patience">How long its kernel may take.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="KaslrMtException">KMT5011 when no kernel shows in time; errors of monitor and memory.</exception>
    internal static async Task<LayoutVerification> RunAsync(
        IntendedLayout intended, IVmConnection vm, TimeSpan patience, CancellationToken cancellationToken)
    {
        ObservationSymbols symbols = ObservationSymbols.Of(intended.Kernel);
        using IGuestMemory memory = await vm.OpenMemoryAsync(cancellationToken).ConfigureAwait(false);
        long start = Environment.TickCount64;
        while (true)
        {
            ulong cr3 = await vm.ReadCr3Async(cancellationToken).ConfigureAwait(false);
            try
            {
                return Compare(intended, LayoutObserver.Read(memory, cr3, symbols));
            }
            catch (KaslrMtException early) when (early.Code == GuestErrors.NoKernel && Environment.TickCount64 - start < patience.TotalMilliseconds)
            {
                await Task.Delay(Interval, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static LayoutVerification Compare(IntendedLayout intended, ObservedLayout observed) => new(
        [.. intended.Regions.Select(row => new VerifiedRegion(row.Region, row.Scope, row.Slots, row.Base, row.Region switch
        {
            Region.KernelPhysical => observed.KernelPhysical.Value,
            Region.KernelVirtual => observed.KernelVirtual.Value,
            Region.Physmap => observed.Physmap.Value,
            Region.Vmalloc => observed.Vmalloc.Value,
            Region.Vmemmap => observed.Vmemmap.Value,
            _ => observed.Modules?.Value,
        }))]);
}

/// <summary>One region of a VM, as intended and as observed. The bases are secrets of the VM.</summary>
/// <param name="Region">The region.</param>
/// <param name="Scope">Whether the tenant's key or the VM's seed decides its base.</param>
/// <param name="Slots">Among how many places the base was drawn.</param>
/// <param name="Intended">The base that the VM was given, in bytes.</param>
/// <param name="Observed">The base in the VM's memory, in bytes; null while the kernel has not drawn the modules' base.</param>
public readonly record struct VerifiedRegion(Region Region, Scope Scope, ulong Slots, ulong Intended, ulong? Observed)
{
    /// <summary>Returns the region's name; no base is shown.</summary>
    public override string ToString() => Region.Name();
}
