namespace KaslrMt.Guests;

/// <summary>Says of each page what maps it: the kernel's image, modules, vmalloc, the array of <c>struct page</c>; and which pages are tables.</summary>
internal sealed class PageClassifier
{
    /// <summary>What <see cref="Pages"/> holds for a page that none of them maps.</summary>
    internal const PageClass Unpainted = (PageClass)0xff;

    private const ulong NoExecute = 1UL << 63;
    private const ulong ModuleEnd = 0xffffffffff000000;
    private const ulong KernelStart = 0xffffffff80000000;
    private const ulong LargePage = 2 << 20;
    private const int PageShift = 12;

    // Each page may be mapped several times; a hostile guest could map all of it a hundred thousand times over.
    private const long MostPaintings = 16;
    private const int FewestPaintings = 1 << 24;

    // struct page is mapped with 2 MiB pages, and those of one block of memory follow one another.
    private const int MostRuns = 1 << 20;

    private readonly PageFrames _frames;
    private readonly GuestModules? _modules;
    private readonly PageClass[] _pages;
    private readonly List<Mapping> _vmemmap = [];
    private readonly VirtualAddress _imageEnd;
    private readonly VirtualAddress _modulesStart;
    private readonly VirtualAddress _vmallocStart;
    private readonly VirtualAddress _vmemmapEnd;
    private long _budget;

    private PageClassifier(KernelAccess kernel, GuestModules? modules, PageFrames frames, int structSize)
    {
        _frames = frames;
        _modules = modules;
        _pages = new PageClass[frames.Count];
        _pages.AsSpan().Fill(Unpainted);
        _budget = FewestPaintings + (MostPaintings * frames.Count);
        _imageEnd = kernel.Symbol("_end") ?? kernel.VirtualBase;

        // The image's mapping ends with a large page (cleanup_highmap, arch/x86/mm/init_64.c): what follows the image there maps free memory.
        _modulesStart = new VirtualAddress((_imageEnd.Value + LargePage - 1) & ~(LargePage - 1));
        _vmallocStart = Variable(kernel, "vmalloc_base");
        VmemmapStart = Variable(kernel, "vmemmap_base");
        ulong lastFrame = frames.Runs.Length == 0 ? 0 : frames.Runs[^1].Frame + frames.Runs[^1].Count;
        _vmemmapEnd = VmemmapStart + (lastFrame * (ulong)structSize);
    }

    /// <summary>The class of each page, or <see cref="Unpainted"/>. <see cref="PageClass.PageTable"/> is what the walk saw.</summary>
    internal Span<PageClass> Pages => _pages;

    /// <summary>The address of <c>struct page</c> number 0.</summary>
    internal VirtualAddress VmemmapStart { get; }

    /// <summary>What maps the array of <c>struct page</c>, ascending, pieces that follow one another joined.</summary>
    internal IReadOnlyList<Mapping> Vmemmap => _vmemmap;

    /// <summary>Whether the page tables were walked to their end.</summary>
    internal bool Ended { get; private set; }

    /// <summary>Paints.</summary>
    /// <exception cref="KaslrMtException">KMT5011 when the kernel's variables cannot be read; KMT50xx when the guest goes away.</exception>
    internal static PageClassifier Paint(KernelAccess kernel, GuestModules? modules, PageFrames frames, int structSize)
    {
        var painter = new PageClassifier(kernel, modules, frames, structSize);

        // First, because what the kernel gives back of these may be mapped elsewhere by now.
        painter.Image(kernel);
        painter.PerCpu(kernel);
        var walk = new KernelAddressSpace(kernel.Memory);
        walk.Visit(kernel.Tables, frames.Count, painter.Table, painter.Leaf);
        painter.Ended = walk.Ended;
        return painter;
    }

    private static VirtualAddress Variable(KernelAccess kernel, string name) =>
        kernel.Symbol(name) is VirtualAddress symbol && kernel.TryReadWord(symbol, out ulong value) && value >= 0xff00000000000000
            ? new VirtualAddress(value)
            : throw new KaslrMtException(GuestErrors.NoKernel, $"the guest's kernel has no {name} that can be read", "wait until the guest has booted");

    private void Table(PhysicalAddress address)
    {
        int index = _frames.IndexOf(address);
        if (index >= 0 && _pages[index] == Unpainted)
        {
            _pages[index] = PageClass.PageTable;
        }
    }

    private bool Leaf(in Mapping leaf)
    {
        VirtualAddress address = leaf.Address;
        if (address >= _vmallocStart && address < VmemmapStart)
        {
            return Fill(leaf.Target, leaf.Size, PageClass.Vmalloc);
        }

        if (address >= VmemmapStart && address < _vmemmapEnd)
        {
            AddVmemmap(leaf);
            return Fill(leaf.Target, leaf.Size, PageClass.Vmemmap);
        }

        // Modules lie in the gigabyte behind the kernel's; a kernel built without KASLR gives them a part of the kernel's own.
        return address.Value is < KernelStart or >= ModuleEnd || address < _modulesStart || Module(leaf);
    }

    private bool Module(in Mapping leaf)
    {
        for (ulong offset = 0; offset < leaf.Size; offset += PageCensus.PageSize)
        {
            PageClass pageClass = _modules?.SectionAt(leaf.Address + offset) switch
            {
                ModuleSection.Text or ModuleSection.InitText => PageClass.ModuleCode,
                null when (leaf.Flags & NoExecute) == 0 => PageClass.ModuleCode,
                _ => PageClass.ModuleData,
            };
            if (!Fill(leaf.Target + offset, PageCensus.PageSize, pageClass))
            {
                return false;
            }
        }

        return true;
    }

    private void AddVmemmap(in Mapping leaf)
    {
        if (_vmemmap.Count > 0 && _vmemmap[^1] is Mapping last && last.Address + last.Size == leaf.Address && last.Target + last.Size == leaf.Target)
        {
            _vmemmap[^1] = last with { Size = last.Size + leaf.Size };
        }
        else if (_vmemmap.Count < MostRuns)
        {
            _vmemmap.Add(leaf);
        }
    }

    private void Image(KernelAccess kernel)
    {
        ulong code = (kernel.Symbol("_etext") is VirtualAddress end ? end - kernel.VirtualBase : 0) + PageCensus.PageSize - 1 & ~(ulong)(PageCensus.PageSize - 1);
        ulong size = Math.Max(code, _imageEnd - kernel.VirtualBase);
        if (size <= ModuleEnd - KernelStart)
        {
            Fill(kernel.PhysicalBase, code, PageClass.KernelCode);
            Fill(kernel.PhysicalBase + code, size - code, PageClass.KernelData);
        }
    }

    /// <summary>The per-CPU data that the kernel allocated at boot (mm/percpu.c, pcpu_setup_first_chunk), on one node.</summary>
    private void PerCpu(KernelAccess kernel)
    {
        Span<byte> words = stackalloc byte[2 * sizeof(uint)];
        if (kernel.Symbol("pcpu_base_addr") is VirtualAddress first && kernel.TryReadWord(first, out ulong start)
            && kernel.Symbol("pcpu_unit_size") is VirtualAddress unit && kernel.Read(unit, words[..sizeof(uint)])
            && kernel.Symbol("pcpu_nr_units") is VirtualAddress units && kernel.Read(units, words[sizeof(uint)..])
            && kernel.Tables.TryTranslate(new VirtualAddress(start), out Mapping direct))
        {
            ulong size = (ulong)BitConverter.ToUInt32(words) * BitConverter.ToUInt32(words[sizeof(uint)..]);
            Fill(direct.Target + (new VirtualAddress(start) - direct.Address), Math.Min(size, (ulong)_frames.Count * PageCensus.PageSize), PageClass.KernelData);
        }
    }

    private bool Fill(PhysicalAddress target, ulong size, PageClass pageClass)
    {
        ulong frame = target.Value >> PageShift;
        ulong end = (target.Value + size + PageCensus.PageSize - 1) >> PageShift;
        foreach (ref readonly PageFrames.Run run in _frames.Runs)
        {
            ulong from = Math.Max(frame, run.Frame);
            ulong to = Math.Min(end, run.Frame + run.Count);
            if (from < to)
            {
                _budget -= (long)(to - from);
                if (_budget < 0)
                {
                    return false;
                }

                _pages.AsSpan(run.Index + (int)(from - run.Frame), (int)(to - from)).Fill(pageClass);
            }
        }

        // What maps no RAM costs the visit of its entry, which the walk's own budget bounds.
        return true;
    }
}
