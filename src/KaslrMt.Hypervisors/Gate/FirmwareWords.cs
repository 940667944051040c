using System.Buffers.Binary;
using System.Text;
using KaslrMt.Layout;

namespace KaslrMt.Hypervisors;

/// <summary>What firmware told the gate, as the gate copied it. It lies in the guest's memory, so the guest may have written it: each number is checked.</summary>
public sealed record FirmwareWords
{
    private const uint Ram = 1;
    private const ulong PhysicalLimit = 1UL << 52;
    private const ulong FourGiB = 1UL << 32;
    private const ulong LowestKernel = 16 * ByteSize.MiB;
    private const ulong PageMask = 4095;

    private FirmwareWords(ulong rsdp, IReadOnlyList<(PhysicalRange Range, uint Type)> memoryMap, string commandLine, bool hasFiveLevels)
    {
        Rsdp = rsdp;
        MemoryMap = memoryMap;
        CommandLine = commandLine;
        HasFiveLevels = hasFiveLevels;
    }

    /// <summary>Gets the address of ACPI's root pointer; 0 for none.</summary>
    public ulong Rsdp { get; }

    /// <summary>Gets the memory map with e820's types, in firmware's order: 1 to 128 entries.</summary>
    public IReadOnlyList<(PhysicalRange Range, uint Type)> MemoryMap { get; }

    /// <summary>Gets the command line that firmware was given: on a microvm without ACPI the hypervisor names its devices there. Empty for none.</summary>
    public string CommandLine { get; }

    /// <summary>Gets whether the processor has five-level page tables.</summary>
    public bool HasFiveLevels { get; }

    /// <summary>Gets the gate's session that they are of: a kernel that was planned for them goes into no other.</summary>
    internal uint Session { get; init; }

    /// <summary>Returns where an initrd goes: as high as it fits below 4 GiB, in whole pages.</summary>
    /// <param name="size">Bytes, more than 0.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.InitrdTooLarge"/>.</exception>
    public PhysicalRange PlaceInitrd(ulong size)
    {
        ulong best = 0;
        foreach ((PhysicalRange range, uint type) in MemoryMap)
        {
            ulong end = Math.Min(range.End.Value, FourGiB);
            if (type == Ram && end > range.Start.Value && end - range.Start.Value >= size)
            {
                ulong start = (end - size) & ~PageMask;
                best = start >= range.Start.Value ? Math.Max(best, start) : best;
            }
        }

        return best >= LowestKernel ? new PhysicalRange(new PhysicalAddress(best), size) : throw new KaslrMtException(
            HypervisorErrors.InitrdTooLarge,
            $"an initrd of {size} bytes does not fit into the guest's memory below 4 GiB",
            "give the VM more memory or a smaller initrd");
    }

    /// <summary>Returns the memory that a layout is planned for.</summary>
    /// <param name="initrd">Where the initrd lies; null for none.</param>
    /// <exception cref="KaslrMtException">KMT1203: the map is none that a machine can have.</exception>
    public GuestMemoryMap ToMemoryMap(PhysicalRange? initrd) => new(
        MemoryMap.Where(entry => entry.Type == Ram).Select(entry => entry.Range),
        initrd is PhysicalRange taken ? [taken] : []);

    /// <summary>Returns whether all memory above 1 MiB in which a kernel or the initrd may be put is RAM, as firmware says.</summary>
    /// <param name="expected">The memory that a machine type is expected to have.</param>
    /// <param name="initrd">Where the initrd is expected; null for none.</param>
    public bool Confirm(GuestMemoryMap expected, PhysicalRange? initrd)
    {
        ArgumentNullException.ThrowIfNull(expected);
        return expected.Free().Append(initrd ?? default).All(range => range.End.Value <= ByteSize.MiB || IsRam(Math.Max(range.Start.Value, ByteSize.MiB), range.End.Value));
    }

    /// <summary>Reads and checks what the gate copied.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.GateWords"/>: which word cannot be; the memory's errors.</exception>
    internal static FirmwareWords Read(IGuestRamAccess memory)
    {
        Span<byte> info = stackalloc byte[GateProtocol.StartInfoSize];
        Read(memory, GateProtocol.StartInfo, info);
        uint magic = BinaryPrimitives.ReadUInt32LittleEndian(info[GateStartInfo.Magic..]);
        Require(magic == GateProtocol.StartInfoMagic, $"hvm_start_info begins with 0x{magic:x8}");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(info[GateStartInfo.Version..]);
        Require(version >= 1, $"hvm_start_info has version {version}, expected 1 or later");
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(info[GateStartInfo.MapCount..]);
        Require(count is >= 1 and <= GateProtocol.MostMapEntries, $"the memory map has {count} entries, expected 1 to {GateProtocol.MostMapEntries}");

        var bytes = new byte[count * GateProtocol.MapEntrySize];
        Read(memory, GateProtocol.MemoryMap, bytes);
        List<(PhysicalRange, uint)> map = [];
        for (ReadOnlySpan<byte> left = bytes; !left.IsEmpty; left = left[GateProtocol.MapEntrySize..])
        {
            ulong start = BinaryPrimitives.ReadUInt64LittleEndian(left);
            ulong length = BinaryPrimitives.ReadUInt64LittleEndian(left[8..]);
            Require(start <= PhysicalLimit && length <= PhysicalLimit - start, $"entry {map.Count} of the memory map ends beyond 2^52");
            map.Add((new PhysicalRange(new PhysicalAddress(start), length), BinaryPrimitives.ReadUInt32LittleEndian(left[16..])));
        }

        Span<byte> features = stackalloc byte[sizeof(uint)];
        Read(memory, GateProtocol.Mailbox + GateProtocol.Features, features);
        return new FirmwareWords(
            BinaryPrimitives.ReadUInt64LittleEndian(info[GateStartInfo.Rsdp..]), map, ReadLine(memory), (BinaryPrimitives.ReadUInt32LittleEndian(features) & GateProtocol.FiveLevels) != 0);
    }

    private bool IsRam(ulong start, ulong end) => MemoryMap.Any(entry => entry.Type == Ram && entry.Range.Start.Value <= start && entry.Range.End.Value >= end)
        && !MemoryMap.Any(entry => entry.Type != Ram && entry.Range.Start.Value < end && entry.Range.End.Value > start);

    private static string ReadLine(IGuestRamAccess memory)
    {
        var line = new byte[GateProtocol.LongestLine];
        Read(memory, GateProtocol.FirmwareLine, line);
        int end = line.AsSpan().IndexOf((byte)0);
        Require(end >= 0, "firmware's command line does not end");
        Require(!line.AsSpan(0, end).ContainsAnyInRange((byte)0x80, (byte)0xff), "firmware's command line is not ASCII");
        return Encoding.ASCII.GetString(line, 0, end).Trim();
    }

    private static void Read(IGuestRamAccess memory, uint address, Span<byte> destination) =>
        Require(memory.TryRead(new PhysicalAddress(address), destination), $"there is no memory at 0x{address:x}");

    internal static void Require(bool holds, string problem)
    {
        if (!holds)
        {
            throw new KaslrMtException(HypervisorErrors.GateWords, $"what the guest's gate says cannot be: {problem}", "the guest waits; reset it");
        }
    }
}
