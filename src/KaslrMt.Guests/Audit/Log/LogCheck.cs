using System.Globalization;
using System.Text;

namespace KaslrMt.Guests;

/// <summary>Run-time kernel addresses in the guest's log, which its users may be able to read.</summary>
internal sealed class LogCheck : AuditCheck
{
    private const int ShownText = 120;
    private const int ShownDigits = 4;

    public override string Name => "log";

    public override string Subject => "kernel addresses in the guest's log";

    public override AuditOutcome Run(AuditSubject subject)
    {
        IReadOnlyList<LogMessage> messages = KernelLog.Read(subject.Kernel);
        var regions = new KernelRegions(subject.Kernel);
        List<AuditFinding> findings = [];
        foreach (LogMessage message in messages)
        {
            if (Leak(regions, message.Text.Span) is string what)
            {
                findings.Add(Finding(
                    AuditSeverity.Leak,
                    string.Create(CultureInfo.InvariantCulture, $"message {message.Number} at {message.Nanoseconds / 1_000_000_000}.{message.Nanoseconds / 1000 % 1_000_000:d6} s"),
                    $"{what}: {Show(message.Text.Span, subject.ShowAddresses)}"));
            }
        }

        return Found(findings, string.Create(CultureInfo.InvariantCulture, $"{messages.Count} messages"));
    }

    private static string? Leak(KernelRegions regions, ReadOnlySpan<byte> text)
    {
        int at = 0;
        while (AddressText.TryNext(text, at, out at, out ulong address))
        {
            if (regions.Of(address) is string region)
            {
                return $"an address in {region}";
            }

            at += AddressText.Digits;
        }

        // arch/x86/kernel/setup.c, dump_kernel_offset: the slide itself.
        return text.IndexOf("Kernel Offset: 0x"u8) >= 0 ? "the kernel's offset" : null;
    }

    private static string Show(ReadOnlySpan<byte> text, bool addresses)
    {
        byte[] shown = text.ToArray();
        int at = 0;
        while (!addresses && AddressText.TryNext(shown, at, out at, out _))
        {
            shown.AsSpan(at + ShownDigits, AddressText.Digits - ShownDigits).Fill((byte)'*');
            at += AddressText.Digits;
        }

        int offset = shown.AsSpan().IndexOf("Kernel Offset: 0x"u8);
        for (int i = offset + 17; !addresses && offset >= 0 && i < shown.Length && char.IsAsciiHexDigit((char)shown[i]); i++)
        {
            shown[i] = (byte)'*';
        }

        string line = Encoding.ASCII.GetString([.. shown.Take(ShownText).Select(letter => letter is >= 0x20 and <= 0x7e ? letter : (byte)'?')]);
        return shown.Length > ShownText ? line + "…" : line;
    }
}
