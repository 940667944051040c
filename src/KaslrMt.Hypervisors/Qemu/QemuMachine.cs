using System.Text.RegularExpressions;

namespace KaslrMt.Hypervisors;

/// <summary>A QEMU machine type this project knows the memory map of.</summary>
/// <remarks>
/// Sources: QEMU 7.2 <c>hw/i386/pc_piix.c</c>, <c>pc_q35.c</c>, <c>microvm.c</c> (RAM splits) and <c>x86.c</c> (initrd); each figure is
/// checked against a running QEMU by the tests.
/// </remarks>
internal sealed partial class QemuMachine : IMachineModel
{
    private const ulong HighStart = 1UL << 32;

    private QemuMachine(string argument, ulong lowLimit, ulong lowWhenSplit, ulong acpiDataSize, bool hasSeaBios)
    {
        Argument = argument;
        LowLimit = lowLimit;
        LowWhenSplit = lowWhenSplit;
        AcpiDataSize = acpiDataSize;
        HasSeaBios = hasSeaBios;
    }

    /// <summary>i440FX: RAM that fits below 3.5 GiB lies there whole; else 3 GiB of it do.</summary>
    public static QemuMachine Pc { get; } = new("pc", 0xe0000000, 0xc0000000, 0x28000, hasSeaBios: true);

    /// <summary>Q35: RAM that fits below 2.75 GiB lies there whole; else 2 GiB of it do (PCI Express configuration space is at 2.75 GiB).</summary>
    public static QemuMachine Q35 { get; } = new("q35", 0xb0000000, 0x80000000, 0x28000, hasSeaBios: true);

    /// <summary>microvm: up to 3 GiB below 4 GiB. Its firmware (qboot) keeps to the first MiB.</summary>
    public static QemuMachine Microvm { get; } = new("microvm", 0xc0000001, 0xc0000000, 0, hasSeaBios: false);

    /// <summary>
    /// microvm without ACPI tables: devices are named on the kernel's command line, and the guest sees one CPU whatever <c>-smp</c> says
    /// (qboot writes no MP table). The memory map is the same.
    /// </summary>
    public static QemuMachine MicrovmWithoutAcpi { get; } = new("microvm,acpi=off", 0xc0000001, 0xc0000000, 0, hasSeaBios: false);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<QemuMachine> All { get; } = [Pc, Q35, Microvm, MicrovmWithoutAcpi];

    /// <summary>Gets what QEMU's <c>-M</c> takes.</summary>
    public string Argument { get; }

    /// <summary>RAM of fewer bytes than this is not split.</summary>
    internal ulong LowLimit { get; }

    /// <summary>Bytes below 4 GiB once RAM is split.</summary>
    internal ulong LowWhenSplit { get; }

    /// <summary>What QEMU keeps free above the initrd for the firmware's tables (<c>acpi_data_size</c>), bytes.</summary>
    internal ulong AcpiDataSize { get; }

    /// <summary>Whether the guest has no timer to calibrate others with, see <see cref="GuestClock"/>.</summary>
    internal bool NeedsClockHelp => this == Microvm;

    /// <summary>Whether the ways a kernel reboots by default may hang, see <see cref="GuestClock"/>.</summary>
    internal bool NeedsRebootHelp => this == Microvm || this == MicrovmWithoutAcpi;

    /// <summary>Whether SeaBIOS starts the guest, which works in high memory before the kernel is entered.</summary>
    internal bool HasSeaBios { get; }

    /// <inheritdoc/>
    public bool HasFirmwareMemory => HasSeaBios;

    /// <inheritdoc/>
    public GuestRam PlaceMemory(ByteSize memory, ulong initrdSize) => GuestRam.Of(this, memory, initrdSize);

    /// <inheritdoc/>
    public string CompleteCommandLine(string commandLine, AcceleratorChoice accelerator) =>
        GuestClock.Complete(commandLine, this, accelerator, GuestClock.HostTscKilohertz) ?? "";

    /// <summary>The machine type written so, with a version (<c>pc-q35-7.2</c>) or without.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.SettingInvalid"/> when it is none of <see cref="All"/>.</exception>
    public static QemuMachine Parse(string text) =>
        All.FirstOrDefault(machine => machine.Argument == text) ?? (Versioned().Match(text) is { Success: true } match ? OfVersion(text, match.Groups[1].ValueSpan) : null) ?? throw new KaslrMtException(
            HypervisorErrors.SettingInvalid,
            $"unknown machine type '{Printable.Of(text)}'",
            $"give one of {string.Join(" | ", All.Select(machine => machine.Argument))}, or one with a version, such as pc-q35-7.2");

    /// <summary>Whether the first is the second with a version: <c>pc-q35-7.2</c> of <c>q35</c>, <c>pc-i440fx-7.2</c> of <c>pc</c>.</summary>
    internal static bool IsVersionOf(string type, string name) =>
        Versioned().Match(type) is { Success: true } match && name == (match.Groups[1].ValueSpan is "q35" ? Q35 : Pc).Argument;

    // The memory map has been the same since QEMU 2.4.
    private static QemuMachine OfVersion(string text, ReadOnlySpan<char> chipset)
    {
        QemuMachine model = chipset is "q35" ? Q35 : Pc;
        return new(text, model.LowLimit, model.LowWhenSplit, model.AcpiDataSize, model.HasSeaBios);
    }

    [GeneratedRegex(@"^pc-(q35|i440fx)-[1-9][0-9]?\.[0-9]{1,2}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Versioned();

    /// <summary>Where that much RAM lies: from 0 up, and from 4 GiB up when it does not fit below.</summary>
    /// <param name="memory">Bytes.</param>
    public IEnumerable<PhysicalRange> Place(ulong memory)
    {
        ulong low = memory < LowLimit ? memory : LowWhenSplit;
        yield return PhysicalRange.Between(0, low);
        if (memory > low)
        {
            yield return new PhysicalRange(new PhysicalAddress(HighStart), memory - low);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Argument;
}
