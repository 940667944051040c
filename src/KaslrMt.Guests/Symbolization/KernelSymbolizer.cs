using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>Names addresses of one boot of a kernel: symbol, offset and size, and for modules which.</summary>
/// <remarks>Instances may be shared by threads as far as the guest's memory may.</remarks>
public sealed class KernelSymbolizer
{
    private readonly Kallsyms _symbols;
    private readonly ulong _slide;
    private readonly VirtualAddress _start;
    private readonly VirtualAddress _end;
    private readonly GuestModules? _modules;

    private KernelSymbolizer(Kallsyms symbols, ulong slide, GuestModules? modules)
    {
        _symbols = symbols;
        _slide = slide;
        _modules = modules;
        symbols.TryResolve(["_text", "_end"], out VirtualAddress?[] bounds);
        _start = bounds[0] ?? throw new KaslrMtException(GuestErrors.AuditNoText, "the kernel's symbols do not say where it begins", "it is damaged or not supported");
        _end = bounds[1] ?? new VirtualAddress(ulong.MaxValue);
    }

    /// <summary>The address of <c>_text</c> in the boot whose addresses are named.</summary>
    public VirtualAddress Base => _start + _slide;

    /// <summary>Names a running guest's addresses.</summary>
    /// <param name="kernel">The guest's kernel.</param>
    /// <param name="textBase">
    /// The address of <c>_text</c> in another boot of the same kernel, whose addresses are to be named; null for this one. Modules lay elsewhere
    /// then, and are not named.
    /// </param>
    /// <exception cref="KaslrMtException">KMT5033 when the kernel does not say where it begins.</exception>
    public static KernelSymbolizer Of(GuestKernel kernel, VirtualAddress? textBase)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        bool same = textBase is null || textBase == kernel.VirtualBase;
        return new KernelSymbolizer(kernel.Symbols, same ? 0 : textBase!.Value - kernel.VirtualBase, same ? Modules(kernel) : null);
    }

    /// <summary>Names the addresses of a kernel that need not run.</summary>
    /// <param name="image">The kernel file.</param>
    /// <param name="textBase">The address of <c>_text</c>.</param>
    /// <exception cref="KaslrMtException">KMT5033 when the kernel does not say where it begins.</exception>
    public static KernelSymbolizer Of(KernelImage image, VirtualAddress textBase)
    {
        ArgumentNullException.ThrowIfNull(image);
        return new KernelSymbolizer(image.Symbols, textBase - image.Geometry.LinkBase, null);
    }

    /// <summary>The place of an address.</summary>
    /// <returns>Null for an address that is neither the kernel's nor a module's.</returns>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away.</exception>
    public SymbolLocation? Find(VirtualAddress address)
    {
        VirtualAddress own = address - _slide;
        if (own >= _start && own < _end && _symbols.Find(own) is { } place)
        {
            return new SymbolLocation(place.Symbol.Name, place.Offset, place.Size, null);
        }

        return _modules?.Find(address) is { } module
            ? new SymbolLocation(module.Symbol ?? module.Section.ToString(), module.Symbol is null ? module.SectionOffset : module.Offset, null, module.Module.Name)
            : null;
    }

    /// <summary>The type's name; the base is a secret of a running VM.</summary>
    public override string ToString() => nameof(KernelSymbolizer);

    // A kernel without modules, or with a damaged list, still has its own symbols.
    private static GuestModules? Modules(GuestKernel kernel)
    {
        try
        {
            return GuestModules.Read(kernel);
        }
        catch (KaslrMtException error) when (error.Category is ErrorCategory.Guest or ErrorCategory.Image)
        {
            return null;
        }
    }
}
