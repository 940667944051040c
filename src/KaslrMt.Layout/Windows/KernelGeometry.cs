using System.Globalization;
using System.Numerics;

namespace KaslrMt.Layout;

/// <summary>What a kernel image says about where it may lie. The numbers come from hostile input and are checked here.</summary>
public sealed record KernelGeometry
{
    /// <summary>The smallest alignment of an x86-64 kernel (<c>MIN_KERNEL_ALIGN</c>), the size of the pages that map it.</summary>
    public const uint MinimumAlignment = 2 << 20;

    /// <summary>The largest alignment that CONFIG_PHYSICAL_ALIGN allows on x86-64.</summary>
    public const uint MaximumAlignment = 16 << 20;

    // MODULES_END: what lies above belongs to fixmap and vsyscall.
    private const ulong ModulesEnd = 0xffffffffff000000;

    /// <summary>Checks an image's numbers.</summary>
    /// <param name="linkBase">Link address of <c>_text</c>, 0xffffffff81000000 as a rule.</param>
    /// <param name="imageSize">
    /// Bytes the kernel needs in memory: the larger of the unpacked payload and <c>_end − _text</c>, as the stock decompressor
    /// counts.
    /// </param>
    /// <param name="alignment"><c>kernel_alignment</c> of the setup header: a power of two from 2 MiB to 16 MiB.</param>
    /// <param name="preferredPhysical"><c>pref_address</c> of the setup header, 16 MiB as a rule.</param>
    /// <param name="modulesStart">Start of the modules' area, 0xffffffffc0000000 as a rule.</param>
    /// <exception cref="KaslrMtException">KMT1201: a number cannot be. KMT1202: the kernel does not fit below the modules.</exception>
    public KernelGeometry(
        VirtualAddress linkBase, ulong imageSize, uint alignment, PhysicalAddress preferredPhysical, VirtualAddress modulesStart)
    {
        Require(
            BitOperations.IsPow2(alignment) && alignment is >= MinimumAlignment and <= MaximumAlignment,
            $"kernel_alignment is 0x{alignment:x}, expected a power of two from 2 MiB to 16 MiB");
        Require(imageSize is > 0 and <= ByteSize.GiB, $"the kernel's size is {imageSize} bytes, expected 1 to 1 GiB");
        Require(
            modulesStart > AddressSpace.KernelMap && modulesStart.Value < ModulesEnd && modulesStart.Value % AddressSpace.PageSize == 0,
            $"the modules' area starts at {modulesStart}, expected a page above {AddressSpace.KernelMap}");
        Require(
            linkBase >= AddressSpace.KernelMap && linkBase < modulesStart && linkBase.Value % alignment == 0,
            $"the kernel is linked at {linkBase}, expected a multiple of its alignment from {AddressSpace.KernelMap} to {modulesStart}");
        Require(
            preferredPhysical.Value is > 0 and <= ByteSize.GiB && preferredPhysical.Value % alignment == 0,
            $"pref_address is {preferredPhysical}, expected a multiple of the alignment up to 1 GiB");

        LinkBase = linkBase;
        ImageSize = imageSize;
        Alignment = alignment;
        PreferredPhysical = preferredPhysical;
        ModulesStart = modulesStart;
        if (Round.Up(imageSize, alignment) > modulesStart - linkBase)
        {
            throw new KaslrMtException(
                LayoutErrors.KernelTooLarge,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"the kernel of {imageSize} bytes does not fit between {linkBase} and its modules at {modulesStart}"),
                "use a smaller kernel");
        }
    }

    /// <summary>Link address of <c>_text</c>, also its lowest run-time address.</summary>
    public VirtualAddress LinkBase { get; }

    /// <summary>Bytes the kernel needs in memory.</summary>
    public ulong ImageSize { get; }

    /// <summary>Distance between two possible bases in bytes, physical and virtual.</summary>
    public uint Alignment { get; }

    /// <summary>Where the kernel lies in physical memory under <c>nokaslr</c>, also its lowest physical base.</summary>
    public PhysicalAddress PreferredPhysical { get; }

    /// <summary>Start of the modules' area.</summary>
    public VirtualAddress ModulesStart { get; }

    /// <summary>
    /// Bytes of RAM that must be free at a physical base: the size rounded up to the 2 MiB pages that map it, so that no mapped page
    /// reaches into what is reserved (the stock decompressor rounds the same way).
    /// </summary>
    public ulong MappedSize => Round.Up(ImageSize, MinimumAlignment);

    /// <summary>How many virtual bases there are.</summary>
    public ulong VirtualSlots => AvailableRanges.KernelVirtual(this, Scope.PerVm).Slots;

    /// <summary>A kernel with the usual addresses.</summary>
    /// <exception cref="KaslrMtException">KMT1201 or KMT1202, as the constructor.</exception>
    public static KernelGeometry Usual(ulong imageSize, uint alignment = MinimumAlignment) => new(
        AddressSpace.KernelMap + AddressSpace.KernelPhysicalFloor,
        imageSize,
        alignment,
        new PhysicalAddress(AddressSpace.KernelPhysicalFloor),
        AddressSpace.KernelMap + ByteSize.GiB);

    private static void Require(bool holds, FormattableString problem)
    {
        if (!holds)
        {
            throw new KaslrMtException(
                LayoutErrors.GeometryInvalid, problem.ToString(CultureInfo.InvariantCulture), "the image is corrupt or no x86-64 kernel");
        }
    }
}
