using System.Buffers.Binary;
using System.Collections.Immutable;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>Where a kernel's <c>struct module</c> keeps what is read of it, from the kernel's own type information.</summary>
/// <remarks>Before 6.4 two pieces of memory are cut by sizes (<c>struct module_layout</c>), from 6.4 on every group has its own (<c>struct module_memory</c>).</remarks>
internal sealed class ModuleShape
{
    // The gigabyte that kernel and modules share; with modules' data elsewhere no group is larger either.
    private const uint LargestArea = 1 << 30;
    private const ulong KernelAddressSpace = 0xff00000000000000;

    // A kernel's is 1 to 2 KiB.
    private const int LargestStruct = 1 << 16;

    private static readonly (ModuleSection Section, string Constant)[] Groups =
    [
        (ModuleSection.Text, "MOD_TEXT"),
        (ModuleSection.ReadOnlyData, "MOD_RODATA"),
        (ModuleSection.ReadOnlyAfterInit, "MOD_RO_AFTER_INIT"),
        (ModuleSection.Data, "MOD_DATA"),
        (ModuleSection.InitText, "MOD_INIT_TEXT"),
        (ModuleSection.InitReadOnlyData, "MOD_INIT_RODATA"),
        (ModuleSection.InitData, "MOD_INIT_DATA"),
    ];

    private readonly (ModuleSection Section, int Base, int Size)[] _groups = [];
    private readonly Layout? _core;
    private readonly Layout? _init;
    private readonly Field _name;
    private readonly Field _state;
    private readonly int _taints;
    private readonly int? _symbols;
    private readonly (int Table, int Count, int Names) _symbolTable;

    /// <summary>Looks the members up.</summary>
    /// <exception cref="KaslrMtException">KMT2703 when the kernel's modules have neither shape; KMT2702.</exception>
    internal ModuleShape(TypeTable types)
    {
        StructType module = types.RequiredStruct("module");
        Size = module.Size <= LargestStruct ? module.Size : throw Unknown($"a struct module of {module.Size} bytes");
        ListOffset = Word(module, "list.next");
        _state = Sized(module, "state", sizeof(uint));
        _name = module.Required("name");
        _taints = Word(module, "taints");
        if (module.Find("mem") is Field mem && mem.Type.Element?.Struct is StructType memory)
        {
            (int start, int size) = (Word(memory, "base"), Sized(memory, "size", sizeof(uint)).Offset);
            _groups = [.. Groups
                .Select(group => (group.Section, Number: types.EnumValue("mod_mem_type", group.Constant) ?? -1))
                .Where(group => group.Number >= 0 && group.Number < mem.Type.ElementCount)
                .Select(group => (group.Section, mem.Offset + ((int)group.Number * memory.Size) + start, mem.Offset + ((int)group.Number * memory.Size) + size))];
        }
        else
        {
            _core = new Layout(module, "core_layout");
            _init = new Layout(module, "init_layout");
        }

        if (module.Find("kallsyms") is Field symbols && types.Struct("mod_kallsyms") is StructType table && table.Size <= LargestStruct)
        {
            _symbols = symbols.Size == sizeof(ulong) ? symbols.Offset : null;
            SymbolsSize = table.Size;
            _symbolTable = (Word(table, "symtab"), Sized(table, "num_symtab", sizeof(uint)).Offset, Word(table, "strtab"));
        }
    }

    /// <summary>Bytes of a <c>struct module</c>.</summary>
    internal int Size { get; }

    /// <summary>Where its link in the list of modules lies.</summary>
    internal int ListOffset { get; }

    /// <summary>Bytes of a <c>struct mod_kallsyms</c>; 0 when the kernel has none.</summary>
    internal int SymbolsSize { get; }

    /// <summary>The module in the bytes of a <c>struct module</c>.</summary>
    /// <param name="bytes"><see cref="Size"/> bytes.</param>
    /// <param name="address">Where they were.</param>
    /// <param name="read">Reads what the structure points to.</param>
    /// <param name="sound">False when an area cannot be; it is left out.</param>
    internal GuestModule Read(ReadOnlySpan<byte> bytes, VirtualAddress address, KernelReader read, out bool sound)
    {
        var areas = ImmutableArray.CreateBuilder<ModuleArea>(Groups.Length);
        sound = true;
        foreach ((ModuleSection section, int start, int size) in _groups)
        {
            sound &= Add(areas, section, UInt64(bytes, start), 0, UInt32(bytes, size));
        }

        if (_core is not null && _init is not null)
        {
            sound &= _core.Read(bytes, areas, ModuleSection.Text, ModuleSection.ReadOnlyData, ModuleSection.ReadOnlyAfterInit, ModuleSection.Data);
            sound &= _init.Read(bytes, areas, ModuleSection.InitText, ModuleSection.InitReadOnlyData, null, ModuleSection.InitData);
        }

        uint state = UInt32(bytes, _state.Offset);
        sound &= state <= (uint)ModuleState.Unformed;
        return new GuestModule(
            KernelText.Of(bytes.Slice(_name.Offset, _name.Size)),
            state <= (uint)ModuleState.Unformed ? (ModuleState)state : ModuleState.Unformed,
            UInt64(bytes, _taints),
            address,
            areas.ToImmutable(),
            ReadSymbols(bytes, read));
    }

    private static bool Add(ImmutableArray<ModuleArea>.Builder areas, ModuleSection section, ulong start, uint from, uint to)
    {
        if (to == from)
        {
            return true;
        }

        bool sound = to > from && to <= LargestArea && start >= KernelAddressSpace && start <= ulong.MaxValue - to;
        if (sound)
        {
            areas.Add(new ModuleArea(section, new VirtualAddress(start + from), to - from));
        }

        return sound;
    }

    private ModuleSymbolTable ReadSymbols(ReadOnlySpan<byte> bytes, KernelReader read)
    {
        var table = new byte[SymbolsSize];
        return _symbols is int at && read(new VirtualAddress(UInt64(bytes, at)), table)
            ? new ModuleSymbolTable(
                new VirtualAddress(UInt64(table, _symbolTable.Table)), UInt32(table, _symbolTable.Count), new VirtualAddress(UInt64(table, _symbolTable.Names)))
            : default;
    }

    private static int Word(StructType type, string path) => Sized(type, path, sizeof(ulong)).Offset;

    private static Field Sized(StructType type, string path, int size)
    {
        Field field = type.Required(path);
        return field.Size == size ? field : throw Unknown($"a member {path} of {field.Size} bytes, expected {size}");
    }

    private static KaslrMtException Unknown(string problem) =>
        new(KernelErrors.TypeMissing, $"the kernel's modules have a shape that is not known: {problem}", "this kernel is not supported, or damaged");

    private static uint UInt32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong UInt64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);

    /// <summary>One piece of memory, cut into groups by where each ends.</summary>
    private sealed class Layout(StructType module, string member)
    {
        private readonly int _base = Word(module, member + ".base");
        private readonly int _size = Sized(module, member + ".size", sizeof(uint)).Offset;
        private readonly int _text = Sized(module, member + ".text_size", sizeof(uint)).Offset;
        private readonly int _readOnly = Sized(module, member + ".ro_size", sizeof(uint)).Offset;
        private readonly int _afterInit = Sized(module, member + ".ro_after_init_size", sizeof(uint)).Offset;

        internal bool Read(
            ReadOnlySpan<byte> bytes, ImmutableArray<ModuleArea>.Builder areas, ModuleSection text, ModuleSection readOnly, ModuleSection? afterInit, ModuleSection data)
        {
            ulong start = UInt64(bytes, _base);
            (uint textEnd, uint readOnlyEnd, uint end) = (UInt32(bytes, _text), UInt32(bytes, _readOnly), UInt32(bytes, _size));
            uint afterInitEnd = afterInit is null ? readOnlyEnd : UInt32(bytes, _afterInit);
            if (start == 0 || end == 0)
            {
                return true;
            }

            return Add(areas, text, start, 0, textEnd)
                & Add(areas, readOnly, start, textEnd, readOnlyEnd)
                & Add(areas, afterInit ?? readOnly, start, readOnlyEnd, afterInitEnd)
                & Add(areas, data, start, afterInitEnd, end);
        }
    }
}
