using System.Globalization;

namespace KaslrMt.Guests;

/// <summary>Kernel code that is neither the image's nor the kernel's own patching: a hook or a corruption.</summary>
internal sealed class CodeCheck : AuditCheck
{
    // Differences that near are one change: a hook of a dozen bytes may leave some as they were.
    private const int Near = 8;
    private const int ShownBytes = 16;

    // A patch takes the kernel microseconds, in which the text may be anything: what is wrong must be wrong again.
    private const int Looks = 3;

    public override string Name => CodeConsensus.CheckName;

    public override string Subject => "kernel code that differs from the image beyond the kernel's own patching";

    public override bool NeedsImage => true;

    public override AuditOutcome Run(AuditSubject subject)
    {
        if (subject.Image is not { } image)
        {
            return NotDone("the VM's kernel file is not known; give it with --kernel");
        }

        if (!KernelCode.IsSameBuild(image, subject.Kernel))
        {
            return Failed("the guest runs another kernel than the file holds");
        }

        if (KernelCode.Of(image, subject.Kernel.VirtualBase, address => ReadWord(subject.Kernel, address)) is not { } kernel)
        {
            return Failed("the kernel file has no text that can be compared");
        }

        IReadOnlyList<CodeDifference>? differences = null;
        CodePair? code = null;
        for (int look = 0; look < Looks && differences is not { Count: 0 }; look++)
        {
            var text = GC.AllocateUninitializedArray<byte>(kernel.Length);
            if (!subject.Kernel.TryRead(kernel.Start, text))
            {
                return Found([Finding(AuditSeverity.Compromised, "_text", "the kernel's text is not all mapped")], "");
            }

            code = kernel.Compare(text);
            List<CodeDifference> now = [.. CodeDifference.In(code, Near)];
            differences = differences is null ? now : [.. now.Where(differences.Contains)];
        }

        return Found([.. differences!.Select(difference => Describe(subject, code!, difference))],
            string.Create(CultureInfo.InvariantCulture, $"{code!.Length / 1048576.0:f1} MiB of kernel text"));
    }

    private static ulong? ReadWord(GuestKernel kernel, ulong address) => kernel.TryReadWord(new VirtualAddress(address), out ulong word) ? word : null;

    private AuditFinding Describe(AuditSubject subject, CodePair code, CodeDifference difference)
    {
        int shown = Math.Min(difference.Length, ShownBytes);
        string found = Convert.ToHexStringLower(code.Found.Slice(difference.Offset, shown));
        string expected = Convert.ToHexStringLower(code.Expected.Slice(difference.Offset, shown));
        string more = difference.Length > shown ? "…" : "";
        var address = new VirtualAddress(code.Start + (ulong)difference.Offset);
        return Finding(
            AuditSeverity.Compromised, subject.Describe(address), $"{difference.Length} bytes: expected {expected}{more}, found {found}{more}", address);
    }
}
