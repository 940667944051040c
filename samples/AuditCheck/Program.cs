// Runs an audit check of its own beside the built-in ones.
// Usage: auditcheck VM | auditcheck core:FILE     VM: the name of a VM of this host (kaslrmt ps); FILE: an ELF dump of a guest's memory
// Exit code: 0 clean, 1 something was found, 2 wrong usage, 4 the guest cannot be read.
using HelperPrograms;
using KaslrMt;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

const string Dump = "core:";
if (args is not [var guest])
{
    Console.Error.WriteLine("usage: auditcheck VM | auditcheck core:FILE");
    return 2;
}

try
{
    if (guest.StartsWith(Dump, StringComparison.Ordinal))
    {
        using MemoryFile file = CoreFile.Open(guest[Dump.Length..]);
        return Audit(GuestKernel.Find(file, file.Hints));
    }

    // Any VM that runs on this host, whichever process owns it. It goes on while it is read.
    RunningVm? vm = RuntimeDirectory.Open().List().FirstOrDefault(vm => vm.Name == guest);
    if (vm is null)
    {
        Console.Error.WriteLine($"auditcheck: no VM named '{Printable.Of(guest, 80)}' runs here");
        return 2;
    }

    await using IGuestInspection open = await Hypervisor.Default.InspectAsync(vm);
    using IGuestMemory memory = open.Memory;
    return Audit(GuestKernel.Find(memory, open.Hints));
}
catch (KaslrMtException error)
{
    Console.Error.WriteLine($"auditcheck: {error.Code}: {error.Message}");
    return 4;
}

static int Audit(GuestKernel kernel)
{
    AuditCheckRegistry checks = AuditCheckRegistry.BuiltIn.With(new HelperProgramCheck());
    IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(new AuditSubject(kernel), checks);
    foreach (AuditOutcome outcome in outcomes)
    {
        Console.WriteLine($"{outcome.Check.Name}: {outcome.NotDone ?? (outcome.IsClean ? $"clean ({outcome.Looked})" : $"{outcome.Findings.Count} found")}");
        foreach (AuditFinding finding in outcome.Findings)
        {
            Console.WriteLine($"  {finding.Severity}: {finding.Where}: {Printable.Of(finding.What)}");
        }
    }

    return outcomes.Any(outcome => outcome.Failed || outcome.Findings.Count > 0) ? 1 : 0;
}
