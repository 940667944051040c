using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>One of the kernel's own virtual areas (<c>struct vmap_area</c> and its <c>struct vm_struct</c>).</summary>
/// <param name="Start">Its first address.</param>
/// <param name="End">The first behind it; the guard page is inside.</param>
/// <param name="Flags"><c>VM_</c> flags; null for an area without <c>vm_struct</c>.</param>
/// <param name="Caller">The code that asked for it.</param>
internal readonly record struct VirtualArea(VirtualAddress Start, VirtualAddress End, ulong? Flags, VirtualAddress Caller);

/// <summary>Lists the kernel's virtual areas: vmalloc, ioremap, stacks, modules.</summary>
/// <remarks>One list until 6.8, from 6.9 on one for each of some nodes (<c>mm/vmalloc.c</c>, <c>vmap_nodes</c>).</remarks>
internal sealed class VirtualAreas
{
    // A guest with ten thousand threads has that many stacks.
    private const int MostAreas = 1 << 18;
    private const int MostNodes = 1024;

    private readonly GuestKernel _kernel;
    private readonly CachedReader _reader;
    private readonly int _start;
    private readonly int _end;
    private readonly int _list;
    private readonly int _vm;
    private readonly int _flags;
    private readonly int _caller;

    private VirtualAreas(GuestKernel kernel)
    {
        _kernel = kernel;
        _reader = new CachedReader(kernel);
        StructType area = kernel.Types.RequiredStruct("vmap_area");
        _start = area.Required("va_start").Offset;
        _end = area.Required("va_end").Offset;
        _list = area.Required("list.next").Offset;
        _vm = area.Required("vm").Offset;
        StructType vm = kernel.Types.RequiredStruct("vm_struct");
        _flags = vm.Required("flags").Offset;
        _caller = vm.Required("caller").Offset;
    }

    /// <summary>Reads all of them.</summary>
    /// <exception cref="KaslrMtException">KMT5032 when there is no list or it does not end; KMT27xx without type information.</exception>
    public static List<VirtualArea> Read(GuestKernel kernel)
    {
        var areas = new VirtualAreas(kernel);
        List<VirtualArea> found = [];
        foreach (VirtualAddress head in areas.Heads())
        {
            areas.ReadList(head, found);
        }

        return found;
    }

    private IEnumerable<VirtualAddress> Heads()
    {
        if (_kernel.Symbol("vmap_area_list") is VirtualAddress only)
        {
            return [only];
        }

        if (_kernel.Symbol("vmap_nodes") is not VirtualAddress pointer || _reader.Word(pointer) is not ulong nodes || _kernel.Types.Struct("vmap_node") is not { } node)
        {
            throw Damaged("the kernel has no list of its virtual areas");
        }

        // nr_vmap_nodes is an int; its upper half belongs to the next variable.
        ulong count = _kernel.Symbol("nr_vmap_nodes") is VirtualAddress number && _reader.Word(number) is ulong word ? (uint)word : 1;
        int head = node.Required("busy.head").Offset;
        ulong size = (ulong)node.Size;
        return count <= MostNodes
            ? [.. Enumerable.Range(0, (int)count).Select(i => new VirtualAddress(nodes) + ((ulong)i * size) + (ulong)head)]
            : throw Damaged($"the kernel claims {count} lists of virtual areas");
    }

    private void ReadList(VirtualAddress head, List<VirtualArea> found)
    {
        for (ulong? entry = _reader.Word(head); entry != head.Value; entry = _reader.Word(new VirtualAddress(entry.Value)))
        {
            if (entry is not ulong address || found.Count >= MostAreas)
            {
                throw Damaged(entry is null ? "the list of virtual areas leads out of memory" : $"the list of virtual areas has more than {MostAreas} entries");
            }

            VirtualAddress area = new VirtualAddress(address) - (ulong)_list;
            if (_reader.Word(area + (ulong)_start) is ulong start && _reader.Word(area + (ulong)_end) is ulong end && _reader.Word(area + (ulong)_vm) is ulong vm)
            {
                ulong? flags = vm == 0 ? null : _reader.Word(new VirtualAddress(vm) + (ulong)_flags);
                ulong caller = vm == 0 ? 0 : _reader.Word(new VirtualAddress(vm) + (ulong)_caller) ?? 0;
                found.Add(new VirtualArea(new VirtualAddress(start), new VirtualAddress(end), flags, new VirtualAddress(caller)));
            }
        }
    }

    private static KaslrMtException Damaged(string problem) => new(GuestErrors.AuditAreas, $"{problem}", "the kernel is damaged, hostile or not supported");
}
