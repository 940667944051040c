using System.Globalization;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>Pages that must not be mapped, so that what runs over the end of an area or a stack faults.</summary>
internal sealed class GuardPageCheck : AuditCheck
{
    private const ulong PageSize = 4096;
    private const ulong NoGuard = 0x40; // VM_NO_GUARD, include/linux/vmalloc.h
    private const int MostProcessors = 8192;

    // arch/x86/include/asm/cpu_entry_area.h
    private static readonly string[] StackGuards =
        ["DF_stack_guard", "NMI_stack_guard", "DB_stack_guard", "MCE_stack_guard", "VC_stack_guard", "VC2_stack_guard", "IST_top_guard"];

    private static readonly string[] StackAllocators = ["dup_task_struct", "alloc_thread_stack_node", "copy_process", "kernel_clone"];

    public override string Name => "guard";

    public override string Subject => "missing guard pages of virtual areas, kernel stacks and exception stacks";

    public override AuditOutcome Run(AuditSubject subject)
    {
        SortedDictionary<ulong, string> guards = [];
        int areas = AddAreas(subject, guards);
        AddExceptionStacks(subject.Kernel, guards);
        List<AuditFinding> findings = [];
        foreach ((ulong address, string what) in guards)
        {
            var guard = new VirtualAddress(address);
            if (subject.Kernel.Tables.TryTranslate(guard, out Mapping mapping))
            {
                findings.Add(Finding(AuditSeverity.Weak, guard.ToString(), $"the guard page {what} is mapped to {mapping.Target + (guard - mapping.Address)}", guard));
            }
        }

        return Found(findings, string.Create(CultureInfo.InvariantCulture, $"{guards.Count} guard pages of {areas} virtual areas and the exception stacks"));
    }

    private static int AddAreas(AuditSubject subject, SortedDictionary<ulong, string> guards)
    {
        List<VirtualArea> areas = VirtualAreas.Read(subject.Kernel);
        foreach (VirtualArea area in areas)
        {
            ulong length = area.End - area.Start;
            if (area.Flags is not ulong flags || (flags & NoGuard) != 0 || length < 2 * PageSize || area.Start.Value % PageSize != 0 || area.End.Value % PageSize != 0)
            {
                continue;
            }

            // Chunks of per-CPU memory are cut to size, without guards (pcpu_get_vm_areas).
            string caller = subject.Kernel.Symbols.Find(area.Caller)?.Symbol.Name ?? "";
            if (caller.StartsWith("pcpu_", StringComparison.Ordinal))
            {
                continue;
            }

            bool isStack = StackAllocators.Any(name => caller.StartsWith(name, StringComparison.Ordinal));
            guards[(area.End - PageSize).Value] = isStack ? "above a kernel stack" : $"behind the area of {(caller.Length > 0 ? caller : "an unknown caller")}";
            if (isStack)
            {
                _ = guards.TryAdd((area.Start - PageSize).Value, "below a kernel stack");
            }
        }

        return areas.Count;
    }

    private static void AddExceptionStacks(GuestKernel kernel, SortedDictionary<ulong, string> guards)
    {
        if (kernel.Symbol("__per_cpu_offset") is not VirtualAddress offsets || kernel.Symbol("cpu_entry_area") is not VirtualAddress variable
            || kernel.Symbol("nr_cpu_ids") is not VirtualAddress number || !kernel.TryReadWord(number, out ulong count))
        {
            return;
        }

        StructType area = kernel.Types.RequiredStruct("cpu_entry_area");
        StructType stacks = kernel.Types.RequiredStruct("cea_exception_stacks");
        int at = area.Required("estacks").Offset;
        for (int cpu = 0; cpu < Math.Min((int)(uint)count, MostProcessors); cpu++)
        {
            if (!kernel.TryReadWord(offsets + ((ulong)cpu * sizeof(ulong)), out ulong offset) || !kernel.TryReadWord(variable + offset, out ulong entry) || entry == 0)
            {
                continue;
            }

            foreach (string name in StackGuards)
            {
                if (stacks.Find(name) is Field guard && guard.Size == (int)PageSize)
                {
                    guards[entry + (ulong)at + (ulong)guard.Offset] = string.Create(CultureInfo.InvariantCulture, $"{name} of processor {cpu}'s exception stacks");
                }
            }
        }
    }
}
