using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>The modules of a guest's kernel, as its list of modules has them.</summary>
/// <remarks>A snapshot of a list that a running guest may change. A module that took itself off the list is not seen here.</remarks>
public sealed class GuestModules
{
    /// <summary>Most modules taken; a distribution's kernel with all of its modules loaded has about 4,000.</summary>
    public const int MaxModules = 10_000;

    private const ulong KernelAddressSpace = 0xff00000000000000;

    private readonly KernelReader _read;
    private readonly (ModuleArea Area, GuestModule Module)[] _areas;
    private readonly ConditionalWeakTable<GuestModule, ModuleSymbols> _symbols = [];

    private GuestModules(KernelReader read, ImmutableArray<GuestModule> modules, string? problem)
    {
        _read = read;
        InLoadOrder = modules;
        Problem = problem;
        _areas = [.. modules.SelectMany(module => module.Areas.Select(area => (area, module))).OrderBy(pair => pair.area.Address)];
    }

    /// <summary>The modules, the one loaded first at the start.</summary>
    public ImmutableArray<GuestModule> InLoadOrder { get; }

    /// <summary>Why modules or areas are missing: the list is damaged, or changed while it was read. Null for a sound list.</summary>
    public string? Problem { get; }

    /// <summary>Reads the list.</summary>
    /// <exception cref="KaslrMtException">KMT5021 when there is no list; KMT27xx when the kernel's types do not tell its shape; KMT50xx when the guest goes away.</exception>
    public static GuestModules Read(GuestKernel kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        var shape = new ModuleShape(kernel.Types);
        foreach (KallsymsSymbol candidate in kernel.Symbols.All("modules"))
        {
            if (IsList(kernel.TryRead, candidate.Address))
            {
                return Read(kernel.TryRead, shape, candidate.Address);
            }
        }

        throw new KaslrMtException(
            GuestErrors.NoModules, "the guest's kernel has no list of modules", "it is built without modules (CONFIG_MODULES), or damaged");
    }

    /// <summary>Reads the list at a place.</summary>
    internal static GuestModules Read(KernelReader read, ModuleShape shape, VirtualAddress head)
    {
        var modules = new List<GuestModule>();
        var seen = new HashSet<ulong> { head.Value };
        var bytes = new byte[shape.Size];
        string? problem = null;
        bool more = TryReadWord(read, head, out ulong next);
        for (; more && next != head.Value; more = TryReadWord(read, new VirtualAddress(next), out next))
        {
            if (next < KernelAddressSpace || !seen.Add(next) || modules.Count == MaxModules)
            {
                problem = modules.Count == MaxModules ? $"the list has more than {MaxModules} modules" : "the list does not lead back to its start";
                break;
            }

            VirtualAddress address = new VirtualAddress(next) - (ulong)shape.ListOffset;
            if (!read(address, bytes))
            {
                more = false;
                break;
            }

            modules.Add(shape.Read(bytes, address, read, out bool sound));
            problem ??= sound ? null : $"module {modules[^1].Name} has a section or state that cannot be";
        }

        // A new module is put at the list's head (kernel/module/main.c, add_unformed_module).
        modules.Reverse();
        return new GuestModules(read, [.. modules], problem ?? (more ? null : "the list leads to memory that is not there"));
    }

    /// <summary>The module that an address belongs to, and the symbol nearest to it.</summary>
    /// <returns>Null for an address in no module.</returns>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away.</exception>
    public ModuleLocation? Find(VirtualAddress address)
    {
        if (AreaAt(address) is not int found)
        {
            return null;
        }

        (ModuleArea area, GuestModule module) = _areas[found];
        (string Name, VirtualAddress Address)? symbol = SymbolsOf(module).Find(area, address);
        return new ModuleLocation(module, area.Section, address - area.Address, symbol?.Name, symbol is null ? 0 : address - symbol.Value.Address);
    }

    /// <summary>The group of sections that an address belongs to; null for an address in no module.</summary>
    public ModuleSection? SectionAt(VirtualAddress address) => AreaAt(address) is int found ? _areas[found].Area.Section : null;

    /// <summary>Where the module's functions and data begin, by its own symbols: ascending, some twice.</summary>
    internal IEnumerable<ulong> SymbolAddresses(GuestModule module) => SymbolsOf(module).Addresses;

    /// <summary>Shows no address.</summary>
    public override string ToString() => $"{InLoadOrder.Length} modules";

    private ModuleSymbols SymbolsOf(GuestModule module) => _symbols.GetValue(module, owner => new ModuleSymbols(_read, owner.Symbols));

    private int? AreaAt(VirtualAddress address)
    {
        (int low, int high) = (0, _areas.Length);
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = _areas[middle].Area.Address <= address ? (middle + 1, high) : (low, middle);
        }

        return low > 0 && _areas[low - 1].Area.Contains(address) ? low - 1 : null;
    }

    /// <summary>Whether the second word of what the head leads to leads back: other symbols have the name, too.</summary>
    private static bool IsList(KernelReader read, VirtualAddress head) =>
        TryReadWord(read, head, out ulong next) && next >= KernelAddressSpace && TryReadWord(read, new VirtualAddress(next) + sizeof(ulong), out ulong back) && back == head.Value;

    private static bool TryReadWord(KernelReader read, VirtualAddress address, out ulong word)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bool done = read(address, bytes);
        word = done ? BitConverter.ToUInt64(bytes) : 0;
        return done;
    }
}
