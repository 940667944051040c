namespace KaslrMt.Guests;

/// <summary>Kernel memory that the guest's programs can use.</summary>
internal sealed class UserAccessibleCheck : AuditCheck
{
    private const ulong PageSize = 4096;

    // Documentation/arch/x86/x86_64/mm.rst: the page of the old vsyscalls is the programs' own, where the kernel still emulates them.
    private static readonly VirtualAddress Vsyscall = new(0xffffffffff600000);

    public override string Name => "user";

    public override string Subject => "kernel pages that programs can use";

    public override AuditOutcome Run(AuditSubject subject)
    {
        List<AuditFinding> findings = [];
        foreach (KernelPages pages in subject.UnusualPages.Where(pages => pages.IsUser && !IsVsyscall(subject, pages)))
        {
            findings.Add(Finding(
                AuditSeverity.Compromised,
                subject.Describe(pages.Address),
                $"{pages.Address} to {pages.End} ({pages.Length >> 12} pages at {pages.Target}) is open to the guest's programs",
                pages.Address));
        }

        return Found(findings, "the page tables' kernel half");
    }

    private static bool IsVsyscall(AuditSubject subject, KernelPages pages) =>
        pages.Address == Vsyscall && pages.Length == PageSize && !pages.IsWritable
        && subject.Kernel.Symbol("__vsyscall_page") is VirtualAddress page
        && subject.Kernel.Tables.TryTranslate(page, out Mapping mapping) && mapping.Target + (page - mapping.Address) == pages.Target;
}
