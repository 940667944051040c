using System.Buffers.Binary;
using System.Text;
using KaslrMt.Kernels;

namespace KaslrMt.Guests.Tests;

/// <summary>A piece of kernel memory with a list of modules in it, in the shape before 6.4 or after.</summary>
internal sealed class FakeModules
{
    internal const ulong Base = 0xffffffffc0000000;
    internal const ulong Head = Base + 0x10;

    private const int Size = 1 << 20;
    private const int List = 8;
    private const int Name = 24;
    private const int Taints = 80;
    private const int Symbols = 88;
    private const int Areas = 96;
    private const int AreaSize = 16;
    private const int InitLayout = Areas + 32;

    private readonly bool _before64;
    private readonly byte[] _memory = new byte[Size];
    private ulong _next = Base + 0x1000;

    internal FakeModules(bool before64)
    {
        _before64 = before64;
        Word(Head, Head);
        Word(Head + 8, Head);
    }

    internal ModuleShape Shape => new(TypeTable.Read(Types()));

    internal GuestModules Read() => GuestModules.Read(TryRead, Shape, new VirtualAddress(Head));

    internal bool TryRead(VirtualAddress address, Span<byte> destination)
    {
        if (address.Value < Base || address.Value - Base > (ulong)(Size - destination.Length))
        {
            return false;
        }

        _memory.AsSpan((int)(address.Value - Base), destination.Length).CopyTo(destination);
        return true;
    }

    /// <summary>Puts a module at the head of the list, as the kernel does, and returns its descriptor.</summary>
    internal ulong Add(string name, params (ModuleSection Section, ulong Address, uint Size)[] areas)
    {
        ulong module = _next;
        _next += 0x200;
        Encoding.Latin1.GetBytes(name).CopyTo(_memory, (int)(module + Name - Base));
        foreach ((ModuleSection section, ulong address, uint size) in areas)
        {
            ulong at = module + Areas + ((ulong)Number(section) * AreaSize);
            Word(at, address);
            Word(at + 8, size);
        }

        Link(module);
        return module;
    }

    /// <summary>The same, in the shape before 6.4.</summary>
    internal ulong Add(string name, ulong core, uint[] coreSizes, ulong init, uint[] initSizes)
    {
        ulong module = _next;
        _next += 0x200;
        Encoding.Latin1.GetBytes(name).CopyTo(_memory, (int)(module + Name - Base));
        foreach ((ulong at, ulong start, uint[] sizes) in new[] { (module + Areas, core, coreSizes), (module + InitLayout, init, initSizes) })
        {
            Word(at, start);
            for (int i = 0; i < sizes.Length; i++)
            {
                Write(at + 8 + (4 * (ulong)i), sizes[i]);
            }
        }

        Link(module);
        return module;
    }

    /// <summary>Gives a module a symbol table.</summary>
    internal void AddSymbols(ulong module, params (string Name, ulong Address)[] symbols)
    {
        ulong table = _next + 0x40;
        ulong names = table + (24 * (ulong)(symbols.Length + 1));
        Word(module + Symbols, _next);
        Word(_next, table);
        Write(_next + 8, (uint)symbols.Length + 1);
        Word(_next + 16, names);
        uint offset = 1;
        for (int i = 0; i < symbols.Length; i++)
        {
            ulong at = table + (24 * (ulong)(i + 1));
            Write(at, offset);
            Write(at + 4, 1 << 16);
            Word(at + 8, symbols[i].Address);
            Encoding.ASCII.GetBytes(symbols[i].Name).CopyTo(_memory, (int)(names + offset - Base));
            offset += (uint)symbols[i].Name.Length + 1;
        }

        _next = (names + offset + 0xfff) & ~0xfffUL;
    }

    internal void Word(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_memory.AsSpan((int)(address - Base)), value);

    internal ulong ReadWord(ulong address) => BinaryPrimitives.ReadUInt64LittleEndian(_memory.AsSpan((int)(address - Base)));

    internal void Write(ulong address, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_memory.AsSpan((int)(address - Base)), value);

    private static int Number(ModuleSection section) => section switch
    {
        ModuleSection.Text => 0,
        ModuleSection.Data => 1,
        ModuleSection.ReadOnlyData => 2,
        ModuleSection.ReadOnlyAfterInit => 3,
        ModuleSection.InitText => 4,
        ModuleSection.InitData => 5,
        _ => 6,
    };

    private void Link(ulong module)
    {
        ulong first = ReadWord(Head);
        Word(module + List, first);
        Word(module + List + 8, Head);
        Word(first + 8, module + List);
        Word(Head, module + List);
    }

    private byte[] Types()
    {
        var btf = new BtfBuilder();
        uint word = btf.Int("unsigned long", 8);
        uint half = btf.Int("unsigned int", 4);
        uint name = btf.Array(btf.Int("char", 1), 56);
        uint pointer = btf.Pointer(0);
        uint list = btf.Struct("list_head", 16, ("next", pointer, 0), ("prev", pointer, 64));
        btf.Struct("mod_kallsyms", 32, ("symtab", pointer, 0), ("num_symtab", half, 64), ("strtab", pointer, 128), ("typetab", pointer, 192));
        uint area = _before64
            ? btf.Struct("module_layout", 32, ("base", pointer, 0), ("size", half, 64), ("text_size", half, 96), ("ro_size", half, 128), ("ro_after_init_size", half, 160))
            : btf.Struct("module_memory", AreaSize, ("base", pointer, 0), ("size", half, 64));
        (string Name, uint Type, uint Bit)[] common =
        [
            ("state", half, 0), ("list", list, 8 * List), ("name", name, 8 * Name), ("taints", word, 8 * Taints), ("kallsyms", pointer, 8 * Symbols),
        ];
        if (_before64)
        {
            btf.Struct("module", 256, [.. common, ("core_layout", area, 8 * Areas), ("init_layout", area, 8 * InitLayout)]);
        }
        else
        {
            btf.Enum("mod_mem_type", ("MOD_TEXT", 0), ("MOD_DATA", 1), ("MOD_RODATA", 2), ("MOD_RO_AFTER_INIT", 3), ("MOD_INIT_TEXT", 4), ("MOD_INIT_DATA", 5), ("MOD_INIT_RODATA", 6));
            btf.Struct("module", 256, [.. common, ("mem", btf.Array(area, 7), 8 * Areas)]);
        }

        return btf.Build();
    }
}
