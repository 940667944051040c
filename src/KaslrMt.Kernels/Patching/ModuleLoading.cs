using System.Buffers.Binary;
using Iced.Intel;

namespace KaslrMt.Kernels;

/// <summary>How a kernel loads modules, as far as <see cref="ModuleNameCode"/> refers to it: found by symbol, by decoding and by the kernel's own types.</summary>
internal sealed class ModuleLoading
{
    private const int JumpSize = 5;
    private const int MostCalls = 8;

    // The allocators that load_module calls, the latest kernel's first; and the functions that ask for address space.
    private static readonly string[] Allocators = ["execmem_alloc_rw", "execmem_alloc", "module_alloc"];
    private static readonly string[] SpaceFunctions = ["__vmalloc_node_range_noprof", "__vmalloc_node_range"];

    // Kernels with this one may cut text out of blocks of 2 MiB (EXECMEM_ROX_CACHE).
    private const string Asker = "execmem_vmalloc";

    private ModuleLoading()
    {
    }

    /// <summary>load_module.</summary>
    public required VirtualAddress Loader { get; init; }

    /// <summary>The calls of it, and where they lie in the file.</summary>
    public required IReadOnlyList<(VirtualAddress Address, int Offset)> Callers { get; init; }

    /// <summary>Where load_module goes on after it called the allocator.</summary>
    public required VirtualAddress FirstReturn { get; init; }

    /// <summary>The same for its second call; or the first once more.</summary>
    public required VirtualAddress LastReturn { get; init; }

    /// <summary>The call by which the allocator asks for address space, and where it lies in the file.</summary>
    public required (VirtualAddress Address, int Offset) Request { get; init; }

    /// <summary>Where the allocator goes on then.</summary>
    public VirtualAddress Back => Request.Address + JumpSize;

    /// <summary>The function that gives address space: size, alignment, lowest address, end, allocation flags, protection; area's flags, node, caller.</summary>
    public required VirtualAddress Space { get; init; }

    /// <summary>find_vm_area: the area at an address, or none.</summary>
    public required VirtualAddress FindArea { get; init; }

    /// <summary>find_module: a module of a name that is further than its first steps, or none.</summary>
    public required VirtualAddress FindModule { get; init; }

    /// <summary>module_mutex, under which modules are looked for.</summary>
    public required VirtualAddress Mutex { get; init; }

    /// <summary>mutex_lock.</summary>
    public required VirtualAddress Lock { get; init; }

    /// <summary>mutex_unlock.</summary>
    public required VirtualAddress Unlock { get; init; }

    /// <summary>msleep.</summary>
    public required VirtualAddress Sleep { get; init; }

    /// <summary>Where struct load_info has its name, up to 127.</summary>
    public required int NameOffset { get; init; }

    /// <summary>Where struct vm_struct has its address, up to 127.</summary>
    public required int AreaAddressOffset { get; init; }

    /// <summary>Where struct vm_struct has its size, guard page included; up to 127.</summary>
    public required int AreaSizeOffset { get; init; }

    /// <summary>Null where each module's text is allocated by itself anyway.</summary>
    public required LargeBlocks? Blocks { get; init; }

    /// <summary>Finds it.</summary>
    /// <exception cref="KaslrMtException">KMT2507: this kernel loads modules in a way that is not known; which symbol or call.</exception>
    public static ModuleLoading Find(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols)
    {
        string[] names =
        [
            "_text", "_etext", "load_module", "find_vm_area", "find_module", "module_mutex", "mutex_lock", "mutex_unlock", "msleep",
            Asker, "execmem_arch_setup", "execmem_init", .. Allocators, .. SpaceFunctions,
        ];
        symbols.TryResolve(names, out VirtualAddress?[] addresses);
        Dictionary<string, VirtualAddress> found = names.Zip(addresses).Where(pair => pair.Second is not null).ToDictionary(pair => pair.First, pair => pair.Second!.Value);
        VirtualAddress loader = Require(found, "load_module"), space = Require(found, SpaceFunctions);
        KernelFunction load = Decode(file, elf, symbols, loader);
        VirtualAddress allocator = Require(found, Allocators);
        VirtualAddress[] returns = [.. load.CallsTo([allocator]).Select(call => new VirtualAddress(load.Instructions[call].NextIP))];
        if (returns.Length is 0 or > 2)
        {
            throw Unknown($"load_module calls the allocator of modules {returns.Length} times, expected once or twice");
        }

        TypeTable types = Types(file, elf, symbols);
        return new ModuleLoading
        {
            Loader = loader,
            Callers = FindCallers(file, elf, symbols, Require(found, "_text"), Require(found, "_etext"), loader),
            FirstReturn = returns[0],
            LastReturn = returns[^1],
            Request = FindRequest(file, elf, symbols, found, allocator, space),
            Space = space,
            FindArea = Require(found, "find_vm_area"),
            FindModule = Require(found, "find_module"),
            Mutex = Require(found, "module_mutex"),
            Lock = Require(found, "mutex_lock"),
            Unlock = Require(found, "mutex_unlock"),
            Sleep = Require(found, "msleep"),
            NameOffset = Pointer(types, "load_info", "name"),
            AreaAddressOffset = Pointer(types, "vm_struct", "addr"),
            AreaSizeOffset = Pointer(types, "vm_struct", "size"),
            Blocks = found.ContainsKey(Asker) ? LargeBlocks.Find(file, elf, symbols, types, Require(found, "execmem_arch_setup"), Require(found, "execmem_init")) : null,
        };
    }

    internal static KaslrMtException Unknown(string problem) => new(
        KernelErrors.ModuleNames, $"this kernel cannot be made to place modules by name: {problem}", "leave --module-addresses out, or use a kernel from 5.10 to 7.3");

    internal static KernelFunction Decode(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, VirtualAddress start)
    {
        KallsymsLocation? place = symbols.Find(start);
        return KernelFunction.Decode(file, elf, place?.Symbol.Name ?? "", start, place?.Size ?? 0);
    }

    private static (VirtualAddress Address, int Offset) FindRequest(
        ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, Dictionary<string, VirtualAddress> found, VirtualAddress allocator, VirtualAddress space)
    {
        KernelFunction asker = Decode(file, elf, symbols, allocator);
        if (found.TryGetValue(Asker, out VirtualAddress asking))
        {
            // From load_module by the allocators to the one function that asks.
            if (found.TryGetValue("execmem_alloc", out VirtualAddress plain) && plain != allocator && asker.CallsTo([plain]).Any())
            {
                asker = Decode(file, elf, symbols, plain);
            }

            if (!asker.Instructions.Any(instruction => instruction.Code is Code.Call_rel32_64 or Code.Jmp_rel32_64 && instruction.NearBranchTarget == asking.Value))
            {
                throw Unknown($"the allocator of modules does not lead to {Asker}");
            }

            asker = Decode(file, elf, symbols, asking);
        }

        int[] asked = [.. asker.CallsTo([space])];
        if (asked.Length is 0 or > 2)
        {
            throw Unknown($"the allocator of modules asks {asked.Length} times for address space, expected once, or twice where it may fall back");
        }

        // Three of the nine arguments are on the stack.
        Instruction[] after = [.. asker.Instructions.Skip(asked[0] + 1).Take(2)];
        return Array.Exists(after, instruction => instruction.Code == Code.Add_rm64_imm8 && instruction.Op0Register == Register.RSP && instruction.Immediate8to64 == 3 * sizeof(ulong))
            ? (new VirtualAddress(asker.Instructions[asked[0]].IP), asker.OffsetOf(asked[0]))
            : throw Unknown("the allocator of modules asks for address space with other arguments");
    }

    private static List<(VirtualAddress Address, int Offset)> FindCallers(
        ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, VirtualAddress text, VirtualAddress end, VirtualAddress target)
    {
        if (end < text || end - text > int.MaxValue || !elf.TryGetFileOffset(text, (int)(end - text), out int start))
        {
            throw Unknown("its text has no bytes in the image");
        }

        ReadOnlySpan<byte> bytes = file.Slice(start, (int)(end - text));
        var calls = new List<(VirtualAddress, int)>();
        for (int at = 0; at <= bytes.Length - JumpSize; at++)
        {
            int next = bytes[at..(bytes.Length - JumpSize + 1)].IndexOfAny((byte)0xe8, (byte)0xe9);
            if (next < 0)
            {
                break;
            }

            at += next;
            VirtualAddress address = text + (ulong)at;
            if (unchecked(address.Value + JumpSize + (ulong)BinaryPrimitives.ReadInt32LittleEndian(bytes[(at + 1)..])) != target.Value)
            {
                continue;
            }

            if (bytes[at] == 0xe9 || calls.Count == MostCalls)
            {
                throw Unknown("load_module is called in a way, or as often, as no known kernel does");
            }

            KallsymsLocation? place = symbols.Find(address);
            KernelFunction? caller = place is null ? null : Decode(file, elf, symbols, place.Symbol.Address);
            if (caller?.CallsTo([target]).Any(call => caller.Instructions[call].IP == address.Value) != true)
            {
                throw Unknown("bytes that call load_module are no instruction of a function");
            }

            calls.Add((address, start + at));
        }

        return calls.Count > 0 ? calls : throw Unknown("nobody calls load_module");
    }

    private static TypeTable Types(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols)
    {
        symbols.TryResolve(["__start_BTF", "__stop_BTF"], out VirtualAddress?[] ends);
        if (ends[0] is not VirtualAddress start || ends[1] is not VirtualAddress stop || stop < start || stop - start > TypeTable.MaxBytes
            || !elf.TryGetFileOffset(start, (int)(stop - start), out int offset))
        {
            throw Unknown("it describes no types (CONFIG_DEBUG_INFO_BTF)");
        }

        return TypeTable.Read(file.Slice(offset, (int)(stop - start)).ToArray());
    }

    private static int Pointer(TypeTable types, string structure, string member)
    {
        Field field = types.RequiredStruct(structure).Required(member);
        return field.Offset <= sbyte.MaxValue && field.Size == sizeof(ulong) ? field.Offset : throw Unknown($"struct {structure} has its {member} at an unknown place");
    }

    private static VirtualAddress Require(Dictionary<string, VirtualAddress> found, params string[] names) =>
        Array.Find(names, found.ContainsKey) is { } name ? found[name] : throw Unknown($"it has none of the symbols {string.Join(", ", names)}");

    /// <summary>What makes a kernel cut the text of all modules out of blocks of 2 MiB, first fit (EXECMEM_ROX_CACHE), and how it does without.</summary>
    /// <param name="Function">execmem_arch_setup, which returns struct execmem_info.</param>
    /// <param name="Address">The call of it, at boot.</param>
    /// <param name="Offset">The call in the file.</param>
    /// <param name="TextFlagsOffset">Where the flags for text lie in what it returns.</param>
    /// <param name="TextProtectionOffset">The page protection for text.</param>
    /// <param name="DataProtectionOffset">The page protection for data: what text has where it comes out of no blocks.</param>
    /// <param name="Flag">The bit in the flags.</param>
    internal sealed record LargeBlocks(VirtualAddress Function, VirtualAddress Address, int Offset, int TextFlagsOffset, int TextProtectionOffset, int DataProtectionOffset, int Flag)
    {
        private const int MostRanges = 16;

        /// <summary>Where boot goes on.</summary>
        public VirtualAddress Back => Address + JumpSize;

        internal static LargeBlocks Find(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, TypeTable types, VirtualAddress setup, VirtualAddress boot)
        {
            KernelFunction function = Decode(file, elf, symbols, boot);
            int[] calls = [.. function.CallsTo([setup])];
            if (calls.Length != 1)
            {
                throw Unknown($"execmem_init calls execmem_arch_setup {calls.Length} times, expected once");
            }

            StructType range = types.RequiredStruct("execmem_range");
            Field flags = range.Required("flags"), protection = range.Required("pgprot"), ranges = types.RequiredStruct("execmem_info").Required("ranges");
            long? flag = types.EnumValue("execmem_range_flags", "EXECMEM_ROX_CACHE");
            long? text = types.EnumValue("execmem_type", "EXECMEM_MODULE_TEXT"), data = types.EnumValue("execmem_type", "EXECMEM_MODULE_DATA");
            return flag is > 0 and <= int.MaxValue && flags.Size == sizeof(int) && protection.Size == sizeof(ulong) && text is >= 0 and < MostRanges && data is >= 0 and < MostRanges
                ? new LargeBlocks(
                    setup,
                    new VirtualAddress(function.Instructions[calls[0]].IP),
                    function.OffsetOf(calls[0]),
                    ranges.Offset + ((int)text * range.Size) + flags.Offset,
                    ranges.Offset + ((int)text * range.Size) + protection.Offset,
                    ranges.Offset + ((int)data * range.Size) + protection.Offset,
                    (int)flag)
                : throw Unknown("its ranges of executable memory are described in an unknown way");
        }
    }
}
