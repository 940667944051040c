namespace KaslrMt.Hypervisors;

/// <summary>Whose a reserved run of guest memory is.</summary>
public enum ReservedFor
{
    /// <summary>Video memory, option ROMs and firmware below 1 MiB.</summary>
    Legacy,

    /// <summary>The initrd, from QEMU until the guest frees it.</summary>
    Initrd,

    /// <summary>ACPI tables and the firmware's own data, for good.</summary>
    FirmwareTables,

    /// <summary>SeaBIOS's working memory: overwritten before the kernel is entered, free from then on.</summary>
    FirmwareScratch,
}

/// <summary>A run of guest memory that a kernel image must not be loaded into.</summary>
/// <param name="Range">Where.</param>
/// <param name="Owner">Whose it is.</param>
public readonly record struct ReservedRange(PhysicalRange Range, ReservedFor Owner);

/// <summary>Where a VM's RAM lies before it starts, and what of it the monitor and firmware keep.</summary>
public sealed class GuestRam
{
    /// <summary>The smallest and largest memory offered; beyond 960 GiB QEMU moves high RAM around the HyperTransport hole.</summary>
    public static readonly ByteSize Smallest = new(64 * ByteSize.MiB);

    /// <inheritdoc cref="Smallest"/>
    public static readonly ByteSize Largest = new(960 * ByteSize.GiB);

    // SeaBIOS (src/malloc.c) keeps its tables in the top 16 MiB of low RAM (256 KiB in versions before 1.16) and takes working memory
    // downwards from below them. Measured with 1.16.2 on pc and q35, with up to 240 vCPUs, 20 network cards, or disks, USB and two display
    // adapters at once: tables within the top 140 KiB, working memory 236 KiB. Both are reserved with room to spare, in runs that cost
    // one 2 MiB slot each.
    private const ulong SeaBiosTables = ByteSize.MiB;
    private const ulong SeaBiosHighZone = 16 * ByteSize.MiB;
    private const ulong SeaBiosScratch = 2 * ByteSize.MiB;

    private GuestRam(PhysicalRange[] ranges, ReservedRange[] reserved, PhysicalRange? initrd)
    {
        Ranges = ranges;
        Reserved = reserved;
        Initrd = initrd;
    }

    /// <summary>RAM: from 0 up, and from 4 GiB up when it does not fit below. The hole below 1 MiB is in <see cref="Reserved"/>.</summary>
    public IReadOnlyList<PhysicalRange> Ranges { get; }

    /// <summary>What is taken, ascending by start; runs may overlap.</summary>
    public IReadOnlyList<ReservedRange> Reserved { get; }

    /// <summary>What a kernel must miss: all that is taken but <see cref="Overwritten"/>, which a boot image restores.</summary>
    public IEnumerable<PhysicalRange> Taken => Reserved.Where(entry => entry.Owner != ReservedFor.FirmwareScratch).Select(entry => entry.Range);

    /// <summary>What firmware overwrites between the loading of the kernel and its entry: at most one run of 2 MiB, or null.</summary>
    public PhysicalRange? Overwritten =>
        Reserved.Where(entry => entry.Owner == ReservedFor.FirmwareScratch).Select(entry => (PhysicalRange?)entry.Range).FirstOrDefault();

    /// <summary>Where QEMU puts the initrd for a PVH kernel, or null without one.</summary>
    public PhysicalRange? Initrd { get; }

    /// <summary>The map of a VM.</summary>
    /// <param name="machine">The machine type.</param>
    /// <param name="memory">RAM in bytes: whole MiB, <see cref="Smallest"/> to <see cref="Largest"/>.</param>
    /// <param name="initrdSize">The initrd's size in bytes; 0 for none.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.MemorySize"/>, or <see cref="HypervisorErrors.InitrdTooLarge"/> when QEMU would refuse the initrd.
    /// </exception>
    internal static GuestRam Of(QemuMachine machine, ByteSize memory, ulong initrdSize)
    {
        if (memory < Smallest || memory > Largest || memory.Bytes % ByteSize.MiB != 0)
        {
            throw new KaslrMtException(
                HypervisorErrors.MemorySize, $"memory of {memory} is not supported", $"give whole MiB from {Smallest} to {Largest}");
        }

        PhysicalRange[] ranges = [.. machine.Place(memory.Bytes)];
        ulong low = ranges[0].Length;

        List<ReservedRange> reserved = [new(PhysicalRange.Between(0xa0000, ByteSize.MiB), ReservedFor.Legacy)];
        if (machine.HasSeaBios)
        {
            ulong scratchEnd = low - SeaBiosHighZone;
            reserved.Add(new(PhysicalRange.Between(scratchEnd - SeaBiosScratch, scratchEnd), ReservedFor.FirmwareScratch));
            reserved.Add(new(PhysicalRange.Between(low - SeaBiosTables, low), ReservedFor.FirmwareTables));
        }

        PhysicalRange? initrd = initrdSize == 0 ? null : PlaceInitrd(machine, low, initrdSize);
        if (initrd is { } placed)
        {
            reserved.Add(new(placed, ReservedFor.Initrd));
        }

        return new GuestRam(ranges, [.. reserved.OrderBy(entry => entry.Range.Start)], initrd);
    }

    // x86_load_linux: initrd_max = below_4g_mem_size - acpi_data_size - 1; address = (initrd_max - size) & ~4095.
    private static PhysicalRange PlaceInitrd(QemuMachine machine, ulong low, ulong size)
    {
        ulong limit = low - machine.AcpiDataSize - 1;
        if (size >= limit || limit - size < 16 * ByteSize.MiB)
        {
            throw new KaslrMtException(
                HypervisorErrors.InitrdTooLarge,
                $"an initrd of {size} bytes does not fit into the {new ByteSize(low)} of memory below 4 GiB",
                "give the VM more memory or a smaller initrd");
        }

        return new PhysicalRange(new PhysicalAddress((limit - size) & ~4095UL), size);
    }
}
