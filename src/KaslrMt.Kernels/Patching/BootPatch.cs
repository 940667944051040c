using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <summary>The places in a kernel image that make it take the host's regions instead of drawing its own.</summary>
/// <remarks>
/// <para>The kernel keeps the bases of physmap, vmalloc and vmemmap in initialized variables (<c>arch/x86/kernel/head64.c</c>), linked
/// with the values used without KASLR, and <c>kernel_randomize_memory</c> overwrites them from <c>setup_arch</c>. So the host writes the
/// variables in the image, and the one call becomes a 5-byte no-operation: no code is added to the guest, and the bases are the
/// same from the first instruction on. The call's site in <c>.call_sites</c> does no harm: the kernel passes over sites that hold no call.</para>
/// <para>The module offset has no initialized variable (before 6.10 it lies in memory that the kernel zeroes), so there the draw itself is
/// replaced: <see cref="ModuleOffsetSite"/>.</para>
/// <para>The places are written after relocation: whatever a corrupt relocation table did there, the layout is what counts.</para>
/// </remarks>
public sealed class BootPatch
{
    private const ulong LinkPhysmap = 0xffff888000000000;
    private const ulong LinkVmalloc = 0xffffc90000000000;
    private const ulong LinkVmemmap = 0xffffea0000000000;

    private readonly int _randomizeMemoryCall;
    private readonly int _physmap;
    private readonly int _vmalloc;
    private readonly int _vmemmap;
    private readonly int? _directMapEnd;
    private readonly ModuleOffsetSite? _moduleOffset;

    internal BootPatch(int randomizeMemoryCall, int physmap, int vmalloc, int vmemmap, int? directMapEnd, ModuleOffsetSite? moduleOffset)
    {
        _randomizeMemoryCall = randomizeMemoryCall;
        _physmap = physmap;
        _vmalloc = vmalloc;
        _vmemmap = vmemmap;
        _directMapEnd = directMapEnd;
        _moduleOffset = moduleOffset;
    }

    /// <summary>Whether the kernel has a variable for the end of its direct map (kernels before about 6.11 may lack it).</summary>
    public bool HasDirectMapEnd => _directMapEnd is not null;

    /// <summary>Where the module offset is drawn; null for a kernel built without loadable modules.</summary>
    public ModuleOffsetSite? ModuleOffset => _moduleOffset;

    /// <summary>The five bytes that replace the call: <c>nop dword [rax+rax*1+0]</c>.</summary>
    internal static ReadOnlySpan<byte> Nop5 => [0x0f, 0x1f, 0x44, 0x00, 0x00];

    /// <summary>Finds all places, by symbol and by decoding instructions.</summary>
    /// <param name="file">The unpacked image, as linked.</param>
    /// <param name="elf">Its headers.</param>
    /// <param name="symbols">Its symbols.</param>
    /// <exception cref="KaslrMtException">KMT2501 to KMT2505: which symbol, which site.</exception>
    public static BootPatch Locate(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols)
    {
        ArgumentNullException.ThrowIfNull(elf);
        ArgumentNullException.ThrowIfNull(symbols);
        IReadOnlyDictionary<string, VirtualAddress> found = BootSymbols.FindIn(symbols);
        foreach (string mark in BootSymbols.FixedRegionMarks)
        {
            if (found.ContainsKey(mark))
            {
                throw new KaslrMtException(
                    KernelErrors.FixedRegions,
                    $"this kernel has the symbol {mark}: it was built with KASAN, whose shadow memory fixes the regions in place",
                    "use a kernel built without CONFIG_KASAN");
            }
        }

        VirtualAddress randomize = Require(found, BootSymbols.KernelRandomizeMemory, "CONFIG_RANDOMIZE_MEMORY");
        int physmap = Variable(file, elf, found, BootSymbols.PageOffsetBase, LinkPhysmap);
        int vmalloc = Variable(file, elf, found, BootSymbols.VmallocBase, LinkVmalloc);
        int vmemmap = Variable(file, elf, found, BootSymbols.VmemmapBase, LinkVmemmap);
        KernelFunction setupArch = Function(file, elf, symbols, found, BootSymbols.SetupArch);
        return new BootPatch(
            LocateCall(setupArch, randomize), physmap, vmalloc, vmemmap, DirectMapEnd(elf, found), LocateModuleOffset(file, elf, symbols, found));
    }

    /// <summary>The same places in another file that holds the kernel's segments.</summary>
    /// <param name="map">From an offset in the unpacked kernel's file to the other's.</param>
    internal KernelFacts.PatchSites In(Func<int, long> map) => new(
        map(_randomizeMemoryCall),
        map(_physmap),
        map(_vmalloc),
        map(_vmemmap),
        _directMapEnd is int end ? map(end) : null,
        _moduleOffset is { } site ? map(site.FileOffset) : null,
        _moduleOffset?.Shift ?? 0);

    private static int LocateCall(KernelFunction function, VirtualAddress target)
    {
        int[] calls = [.. function.CallsTo([target])];
        return calls.Length == 1
            ? function.OffsetOf(calls[0])
            : throw new KaslrMtException(
                KernelErrors.CallSite,
                $"{function.Name} at link address {function.Start} holds {calls.Length} calls to {BootSymbols.KernelRandomizeMemory}, expected exactly one",
                "this kernel sets up its regions in a way that is not known yet");
    }

    private static ModuleOffsetSite? LocateModuleOffset(
        ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, IReadOnlyDictionary<string, VirtualAddress> found)
    {
        string? name = Array.Find(BootSymbols.ModuleOffsetFunctions, found.ContainsKey);
        if (name is null)
        {
            // With modules, their area must be where the layout says; without, nobody looks.
            return found.ContainsKey(BootSymbols.LoadableModules)
                ? throw new KaslrMtException(
                    KernelErrors.MissingSymbol,
                    $"this kernel loads modules, and has none of the symbols {string.Join(", ", BootSymbols.ModuleOffsetFunctions)}",
                    "this kernel draws its module offset in a way that is not known yet")
                : null;
        }

        VirtualAddress[] random = [.. BootSymbols.RandomFunctions.Where(found.ContainsKey).Select(random => found[random])];
        return ModuleOffsetSite.Locate(Function(file, elf, symbols, found, name), random);
    }

    private static int? DirectMapEnd(ElfImage elf, IReadOnlyDictionary<string, VirtualAddress> found)
    {
        string? name = Array.Find(BootSymbols.DirectMapEnds, found.ContainsKey);
        return name is null ? null : Offset(elf, name, found[name]);
    }

    private static int Variable(
        ReadOnlySpan<byte> file, ElfImage elf, IReadOnlyDictionary<string, VirtualAddress> found, string name, ulong linked)
    {
        int offset = Offset(elf, name, Require(found, name, "CONFIG_RANDOMIZE_MEMORY and CONFIG_KALLSYMS_ALL"));
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(file[offset..]);
        return value == linked
            ? offset
            : throw new KaslrMtException(
                KernelErrors.PatchVariable,
                $"{name} at link address {found[name]} (file offset 0x{offset:x}): expected 0x{linked:x16}, found 0x{value:x16}",
                "this is not a 4-level x86-64 kernel as linked, or the image is corrupt");
    }

    private static int Offset(ElfImage elf, string name, VirtualAddress address) =>
        elf.TryGetFileOffset(address, sizeof(ulong), out int offset)
            ? offset
            : throw new KaslrMtException(
                KernelErrors.PatchVariable, $"{name} at link address {address} has no bytes in the image", "the symbol table is corrupt");

    private static KernelFunction Function(
        ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, IReadOnlyDictionary<string, VirtualAddress> found, string name)
    {
        VirtualAddress start = Require(found, name, "a supported configuration");
        return KernelFunction.Decode(file, elf, name, start, symbols.Find(start)?.Size ?? 0);
    }

    private static VirtualAddress Require(IReadOnlyDictionary<string, VirtualAddress> found, string name, string option) =>
        found.TryGetValue(name, out VirtualAddress address)
            ? address
            : throw new KaslrMtException(
                KernelErrors.MissingSymbol, $"this kernel has no symbol {name}: it was not built with {option}", "use a distribution kernel of 5.4 or later");
}
