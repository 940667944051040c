namespace KaslrMt.Guests;

/// <summary>Kernel memory that can be both written and executed.</summary>
internal sealed class WritableExecutableCheck : AuditCheck
{
    public override string Name => "wx";

    public override string Subject => "writable and executable kernel mappings";

    public override AuditOutcome Run(AuditSubject subject)
    {
        List<AuditFinding> findings = [];
        foreach (KernelPages pages in subject.UnusualPages.Where(pages => pages.IsWritable && pages.IsExecutable))
        {
            findings.Add(Finding(
                AuditSeverity.Compromised,
                subject.Describe(pages.Address),
                $"{pages.Address} to {pages.End} ({pages.Length >> 12} pages at {pages.Target}) is writable and executable",
                pages.Address));
        }

        return Found(findings, "the page tables' kernel half");
    }
}
