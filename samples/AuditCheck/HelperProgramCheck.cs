using System.Text;
using KaslrMt;
using KaslrMt.Guests;

namespace HelperPrograms;

/// <summary>
/// Looks at the strings that name programs which the kernel starts as root. Whoever can write one of them owns the guest, so it is the usual last step of an exploit.
/// </summary>
internal sealed class HelperProgramCheck : AuditCheck
{
    // KMOD_PATH_LEN (include/linux/kmod.h) and CORENAME_MAX_SIZE (fs/coredump.c).
    private const int ModprobeLength = 256;
    private const int CorePatternLength = 128;

    private static readonly string[] Trusted = ["/sbin/", "/usr/sbin/", "/lib/systemd/", "/usr/lib/systemd/", "/usr/share/apport/"];

    /// <inheritdoc/>
    public override string Name => "helpers";

    /// <inheritdoc/>
    public override string Subject => "programs that the kernel starts as root, where no distribution has them";

    /// <inheritdoc/>
    public override AuditOutcome Run(AuditSubject subject)
    {
        if (Read(subject, "modprobe_path", ModprobeLength) is not { } modprobe || Read(subject, "core_pattern", CorePatternLength) is not { } pattern)
        {
            return NotDone("the kernel's symbols do not tell where modprobe_path and core_pattern are");
        }

        // Only a pattern that begins with a pipe names a program (Documentation/admin-guide/sysctl/kernel.rst).
        List<AuditFinding> findings = [];
        Judge("modprobe_path", modprobe, findings);
        Judge("core_pattern", pattern.StartsWith('|') ? pattern[1..].TrimStart() : "", findings);
        return Found(findings, "modprobe_path and core_pattern");
    }

    private static string? Read(AuditSubject subject, string symbol, int length)
    {
        // What the guest holds is hostile input: the length is bounded, and only what is printed is text.
        byte[] text = new byte[length];
        return subject.Kernel.Symbol(symbol) is { } address && subject.Kernel.TryRead(address, text)
            ? Encoding.UTF8.GetString(text.AsSpan(0, Math.Max(0, text.AsSpan().IndexOf((byte)0))))
            : null;
    }

    // An empty path starts nothing.
    private void Judge(string symbol, string program, List<AuditFinding> findings)
    {
        bool trusted = Trusted.Any(folder => program.StartsWith(folder, StringComparison.Ordinal)) && !program.Contains("/../", StringComparison.Ordinal);
        if (program.Length > 0 && !trusted)
        {
            findings.Add(Finding(AuditSeverity.Compromised, symbol, $"the kernel would start '{Printable.Of(program, 120)}' as root"));
        }
    }
}
