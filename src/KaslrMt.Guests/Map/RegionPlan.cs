namespace KaslrMt.Guests;

/// <summary>What lies where in the kernel's half of the address space, before it is looked at what is mapped.</summary>
/// <remarks>
/// <c>Documentation/arch/x86/x86_64/mm.rst</c>; the bases that move are the kernel's own variables, and its sections its own symbols
/// (<c>arch/x86/kernel/vmlinux.lds.S</c>). Both are the guest's, so hostile: whatever does not fit in order is left out.
/// </remarks>
internal static class RegionPlan
{
    private const ulong CpuEntryArea = 0xfffffe0000000000;
    private const ulong Espfix = 0xffffff0000000000;
    private const ulong Efi = 0xffffffef00000000;
    private const ulong EfiEnd = 0xffffffff00000000;
    private const ulong KernelMapping = 0xffffffff80000000;
    private const ulong Modules = 0xffffffffc0000000;
    private const ulong Fixmap = 0xffffffffff000000;
    private const ulong Vsyscall = 0xffffffffff600000;
    private const ulong HalfTiB = 1UL << 39;
    private const ulong TiB = 1UL << 40;
    private const ulong LargePage = 2 << 20;
    private const string Padding = "kernel padding";
    private const ulong LargestModules = Fixmap - Modules;

    private static readonly (string Name, string Start, string End)[] Sections =
    [
        ("kernel text", "_text", "_etext"),
        ("kernel rodata", "__start_rodata", "__end_rodata"),
        ("kernel data", "_sdata", "_edata"),
        ("kernel init", "__init_begin", "__init_end"),
        ("kernel bss", "__bss_start", "__bss_stop"),
        ("kernel brk", "__brk_base", "_end"),
    ];

    /// <summary>The stretches, ascending, without gaps, to the last address.</summary>
    public static List<(string Name, ulong Start, ulong Last)> Of(GuestKernel kernel)
    {
        bool five = kernel.Tables.Levels == 5;
        ulong half = five ? 0xff00000000000000 : 0xffff800000000000;
        ulong table = five ? 0xff10000000000000 : 0xffff880000000000;
        ulong direct = Variable(kernel, "page_offset_base") ?? (five ? 0xff11000000000000 : 0xffff888000000000);
        ulong vmalloc = Variable(kernel, "vmalloc_base") ?? (five ? 0xffa0000000000000 : 0xffffc90000000000);
        ulong map = Variable(kernel, "vmemmap_base") ?? (five ? 0xffd4000000000000 : 0xffffea0000000000);

        // struct page takes 64 bytes of each 4 KiB: the memory map cannot be larger than a 64th of what lies between the direct map and it.
        ulong mapSize = Math.Min(five ? 512 * TiB : TiB, map < CpuEntryArea ? CpuEntryArea - map : 0);
        var plan = new Builder(half);
        plan.Add("guard hole", half, table - half);
        plan.Add("LDT of processes", table, five ? 256 * TiB : HalfTiB);
        plan.Add("direct map", direct, vmalloc > direct ? vmalloc - direct : 0);
        plan.Add("vmalloc", vmalloc, five ? 12800 * TiB : 32 * TiB);
        plan.Add("vmemmap", map, mapSize);
        plan.Add("cpu_entry_area", CpuEntryArea, HalfTiB);
        plan.Add("espfix stacks", Espfix, HalfTiB);
        plan.Add("EFI run-time", Efi, EfiEnd - Efi);
        bool inKernel = false;
        foreach ((string name, ulong start, ulong end) in Sections
            .Select(section => (section.Name, Start: kernel.Symbol(section.Start)?.Value, End: kernel.Symbol(section.End)?.Value))
            .Where(section => section is { Start: >= KernelMapping, End: <= Modules } && section.Start < section.End)
            .Select(section => (section.Name, section.Start!.Value, section.End!.Value))
            .OrderBy(section => section.Item2))
        {
            plan.Add(name, start & ~0xfffUL, ((end + 0xfff) & ~0xfffUL) - (start & ~0xfffUL), inKernel ? Padding : MapRegion.Hole);
            inKernel = true;
        }

        // The last large page of the kernel's mapping goes on behind its end.
        plan.Add(Padding, plan.Next, inKernel ? (LargePage - (plan.Next % LargePage)) % LargePage : 0);

        plan.Add("modules", Modules, LargestModules);
        plan.Add("fixmap", Fixmap, Vsyscall - Fixmap);
        plan.Add("vsyscall", Vsyscall, 4096);
        return plan.Finish();
    }

    private static ulong? Variable(GuestKernel kernel, string name) =>
        kernel.Symbol(name) is VirtualAddress symbol && kernel.TryReadWord(symbol, out ulong value) && (value & 0xfff) == 0 ? value : null;

    /// <summary>Puts stretches one behind the other.</summary>
    private sealed class Builder(ulong start)
    {
        private readonly List<(string Name, ulong Start, ulong Last)> _plan = [];
        private ulong _next = start;

        /// <summary>Where the next stretch may begin.</summary>
        public ulong Next => _next;

        public void Add(string name, ulong from, ulong size, string gap = MapRegion.Hole)
        {
            ulong last = from + (size - 1);
            if (size == 0 || last < from || last < _next)
            {
                return;
            }

            from = Math.Max(from, _next);
            if (from > _next)
            {
                _plan.Add((gap, _next, from - 1));
            }

            _plan.Add((name, from, last));
            _next = last + 1;
        }

        public List<(string Name, ulong Start, ulong Last)> Finish()
        {
            if (_next != 0)
            {
                _plan.Add((MapRegion.Hole, _next, ulong.MaxValue));
            }

            return _plan;
        }
    }
}
