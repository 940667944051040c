using System.Buffers;
using System.Globalization;

namespace KaslrMt.Hypervisors;

/// <summary>Reads processor registers through the monitor.</summary>
public static class QemuRegisters
{
    private const string Mark = "CR3=";

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdefABCDEF");

    /// <summary>The CR3 of the monitor's current processor: the guest-physical address of its top page table, and flags.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.MonitorRefused"/> when QEMU does not say; errors of the monitor.</exception>
    public static async Task<ulong> ReadCr3Async(QmpClient monitor, CancellationToken cancellation = default)
    {
        string registers = await monitor.HumanAsync("info registers", cancellation).ConfigureAwait(false);
        int at = registers.IndexOf(Mark, StringComparison.Ordinal);
        ReadOnlySpan<char> digits = at < 0 ? [] : registers.AsSpan(at + Mark.Length);
        int end = digits.IndexOfAnyExcept(HexDigits);

        // 8 digits while the processor is in 32-bit mode, 16 later.
        return ulong.TryParse(end < 0 ? digits : digits[..end], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong cr3)
            ? cr3
            : throw new KaslrMtException(HypervisorErrors.MonitorRefused, "the monitor's 'info registers' shows no CR3");
    }
}
