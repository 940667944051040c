using System.Buffers;
using System.Globalization;
using KaslrMt.Guests;

namespace KaslrMt.Hypervisors;

/// <summary>Reads processor registers through the monitor.</summary>
internal static class QemuRegisters
{
    private const string Cr3 = "CR3=";
    private const string Cr4 = "CR4=";
    private const ulong FiveLevelPaging = 1 << 12;

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdefABCDEF");

    /// <summary>The CR3 of the monitor's current processor: the guest-physical address of its top page table, and flags.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.MonitorRefused"/> when QEMU does not say; errors of the monitor.</exception>
    public static async Task<ulong> ReadCr3Async(QmpClient monitor, CancellationToken cancellationToken = default)
    {
        string registers = await monitor.HumanAsync("info registers", cancellationToken).ConfigureAwait(false);
        return Value(registers, Cr3)
            ?? throw new KaslrMtException(HypervisorErrors.MonitorRefused, "the monitor's 'info registers' shows no CR3");
    }

    /// <summary>What the monitor's current processor says of the kernel's page tables; nothing before it uses any, or when the monitor does not say.</summary>
    /// <exception cref="KaslrMtException">Errors of the monitor.</exception>
    public static async Task<KernelHints> ReadHintsAsync(QmpClient monitor, CancellationToken cancellationToken = default)
    {
        string registers = await monitor.HumanAsync("info registers", cancellationToken).ConfigureAwait(false);
        return Value(registers, Cr3) is > 0 and ulong table && Value(registers, Cr4) is ulong control
            ? new KernelHints(new PhysicalAddress(table), (control & FiveLevelPaging) != 0)
            : default;
    }

    private static ulong? Value(string registers, string mark)
    {
        int at = registers.IndexOf(mark, StringComparison.Ordinal);
        ReadOnlySpan<char> digits = at < 0 ? [] : registers.AsSpan(at + mark.Length);
        int end = digits.IndexOfAnyExcept(HexDigits);

        // 8 digits while the processor is in 32-bit mode, 16 later.
        return ulong.TryParse(end < 0 ? digits : digits[..end], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value) ? value : null;
    }
}
