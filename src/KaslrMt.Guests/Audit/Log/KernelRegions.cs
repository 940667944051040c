namespace KaslrMt.Guests;

/// <summary>Which of a guest's randomized regions an address lies in.</summary>
internal sealed class KernelRegions
{
    private const ulong KernelEnd = 0xffffffffc0000000;
    private const ulong ModulesEnd = 0xffffffffff000000;
    private const int PageShift = 12;
    private const ulong StructPage = 64;

    private readonly GuestKernel _kernel;
    private readonly ulong _physmap;
    private readonly ulong _vmalloc;
    private readonly ulong _vmemmap;
    private readonly ulong _end;

    /// <summary>Reads the bases from the kernel's own variables.</summary>
    public KernelRegions(GuestKernel kernel)
    {
        _kernel = kernel;
        _physmap = Variable("page_offset_base");
        _vmalloc = Variable("vmalloc_base");
        _vmemmap = Variable("vmemmap_base");
        _end = kernel.Symbol("_end")?.Value ?? KernelEnd;
    }

    /// <summary>The region that the address lies in, in words; null for an address that tells nothing: outside of all, or the same in every guest.</summary>
    public string? Of(ulong address)
    {
        ulong ram = _kernel.Memory.Ranges[^1].End.Value;
        return address >= _kernel.VirtualBase.Value && address < _end ? "kernel-virtual"
            : address >= KernelEnd && address < ModulesEnd && _kernel.Tables.TryTranslate(new VirtualAddress(address), out _) ? "modules"
            : _physmap != 0 && address - _physmap < ram ? "physmap"
            : _vmemmap != 0 && address - _vmemmap < (ram >> PageShift) * StructPage ? "vmemmap"
            : _vmalloc != 0 && address >= _vmalloc && address < _vmemmap ? "vmalloc"
            : null;
    }

    private ulong Variable(string name) => _kernel.Symbol(name) is VirtualAddress address && _kernel.TryReadWord(address, out ulong value) ? value : 0;
}
