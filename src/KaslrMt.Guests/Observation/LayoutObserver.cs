using System.Buffers.Binary;
using KaslrMt.Layout;

namespace KaslrMt.Guests;

/// <summary>Reads the six bases out of a running guest's memory, knowing its kernel's symbols but nothing of the layout it was given.</summary>
/// <remarks>
/// Page tables say most: the kernel maps its text first in its own GiB, the direct map maps address 0 first, and the memory map is the
/// last of the three regions. Where a region starts is not visible there (vmalloc: its first pages may be free; modules: the first
/// module may be large-page aligned) the kernel's own variable is read, through the page tables, at the place they give.
/// </remarks>
public static class LayoutObserver
{
    private const ulong KernelMapping = 0xffffffff80000000;
    private const ulong ModulesStart = 0xffffffffc0000000;
    private const ulong ModulesRoom = 1025 * 4096;
    private const ulong TableAddressMask = 0x000ffffffffff000;
    private const ulong UserTablesBit = 1UL << 12;
    private const ulong VmallocSize = 32 * ByteSize.TiB;
    /// <summary>Reads the bases.</summary>
    /// <param name="memory">The guest's RAM.</param>
    /// <param name="cr3">The CR3 of any of its processors, once the kernel runs.</param>
    /// <param name="symbols">Its kernel's variables.</param>
    /// <exception cref="KaslrMtException">KMT5011 when there is no kernel to be seen, KMT5012 for hostile tables, KMT50xx when the guest goes away.</exception>
    public static ObservedLayout Read(IGuestMemory memory, ulong cr3, ObservationSymbols symbols)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(symbols);

        var root = new PhysicalAddress(cr3 & TableAddressMask);
        try
        {
            return Read(memory, new PageTableWalk(memory, root), symbols);
        }
        catch (KaslrMtException error) when (error.Code == GuestErrors.NoKernel && (root.Value & UserTablesBit) != 0)
        {
            // Under page-table isolation (arch/x86/mm/pti.c) bit 12 selects the tables of user mode, which map little of the kernel;
            // its own lie one page below.
            return Read(memory, new PageTableWalk(memory, new PhysicalAddress(root.Value & ~UserTablesBit)), symbols);
        }
    }

    private static ObservedLayout Read(IGuestMemory memory, PageTableWalk walk, ObservationSymbols symbols)
    {
        Mapping text = First(walk, KernelMapping, ModulesStart - 1, "its text mapping");
        Mapping direct = First(walk, AddressSpace.Start.Value, AddressSpace.End.Value - 1, "its direct map");
        ulong Variable(VirtualAddress link) => ReadWord(memory, text, link, symbols);

        var vmalloc = new VirtualAddress(Variable(symbols.VmallocBase));
        if (vmalloc <= direct.Address || vmalloc >= AddressSpace.End - VmallocSize)
        {
            throw NoKernel("its vmalloc_base lies outside the address space of a 4-level kernel");
        }

        Mapping map = First(walk, vmalloc.Value + VmallocSize, AddressSpace.End.Value - 1, "its memory map");
        return new ObservedLayout(
            text.Target, text.Address, new VirtualAddress(direct.Address - new VirtualAddress(direct.Target.Value)), vmalloc, map.Address, Modules(symbols, Variable));
    }

    private static VirtualAddress? Modules(ObservationSymbols symbols, Func<VirtualAddress, ulong> variable)
    {
        foreach (VirtualAddress candidate in symbols.ModuleStart)
        {
            ulong start = variable(candidate);
            if (start is >= ModulesStart and < ModulesStart + ModulesRoom)
            {
                return new VirtualAddress(start);
            }
        }

        ulong offset = symbols.ModuleLoadOffset is VirtualAddress link ? variable(link) : 0;
        return offset is > 0 and < ModulesRoom ? new VirtualAddress(ModulesStart + offset) : null;
    }

    private static ulong ReadWord(IGuestMemory memory, Mapping text, VirtualAddress link, ObservationSymbols symbols)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        PhysicalAddress address = text.Target + (link - symbols.LinkBase);
        return memory.TryRead(address, word) ? BinaryPrimitives.ReadUInt64LittleEndian(word) : throw NoKernel("its variables lie outside RAM");
    }

    private static Mapping First(PageTableWalk walk, ulong from, ulong to, string what)
    {
        foreach (Mapping mapping in walk.Leaves(new VirtualAddress(from), new VirtualAddress(to)))
        {
            return mapping;
        }

        throw NoKernel($"{what} is not there");
    }

    private static KaslrMtException NoKernel(string problem) => new(
        GuestErrors.NoKernel, $"the guest's page tables are not those of a running Linux kernel: {problem}", "wait until the guest has booted");
}
