using System.Buffers.Binary;
using System.Collections.Immutable;

namespace KaslrMt.Kernels;

/// <summary>Makes a kernel put each module where the module's name says, whatever was loaded before it.</summary>
/// <remarks>
/// <para>A stock kernel puts a module into the first hole that is large enough. Modules come in the order in which processes ask for them, which
/// differs from boot to boot, and so do their addresses (the paper, section 9). With this patch the search for a hole begins at an address that
/// follows from the name and the layout's modules slot.</para>
/// <para>Two places change. Each call of <c>load_module</c> goes by a few instructions that leave its <c>struct load_info</c> on the stack. The one
/// call by which the allocator of modules asks for address space goes by <see cref="ModuleNameCode"/>, which looks up the stack: where the
/// caller is <c>load_module</c> itself, it takes the name from there and moves the lowest address asked for. All other allocations
/// (BPF programs, trampolines) stay as they are. The code lies in the filler at the end of the kernel's text.</para>
/// <para>Known for kernels in which <c>load_module</c> calls the allocator itself, and that allocates text for one module at a time: 5.10 to
/// 6.12. Later ones cut modules' text from blocks of 2 MiB (<c>EXECMEM_ROX_CACHE</c>).</para>
/// </remarks>
/// <param name="CodeOffset">Where the code lies in the image's file.</param>
/// <param name="Code">The code, for slot 0.</param>
/// <param name="SaltOffset">Where in the code the 32 bits lie that depend on the slot.</param>
/// <param name="Jumps">The calls that go by the code: where in the image's file, and the five bytes that replace them.</param>
public sealed record ModuleNamePatch(long CodeOffset, byte[] Code, int SaltOffset, ImmutableArray<ModuleNamePatch.Jump> Jumps)
{
    private const int JumpSize = 5;
    private const int PageSize = 4096;
    private const int MostCalls = 8;

    // Code that runs up to its end must not run into ours.
    private const int Distance = 16;

    private static readonly string[] Allocators = ["execmem_alloc", "module_alloc"];
    private static readonly string[] SpaceFunctions = ["__vmalloc_node_range_noprof", "__vmalloc_node_range"];

    // Kernels with these keep freed or unused text in blocks of their own.
    private static readonly string[] OtherAllocators = ["execmem_alloc_rw", "execmem_vmalloc"];

    /// <summary>Finds the places.</summary>
    /// <param name="file">The unpacked image, as linked.</param>
    /// <param name="elf">Its headers.</param>
    /// <param name="symbols">Its symbols.</param>
    /// <returns>The patch, with offsets in <paramref name="file"/>.</returns>
    /// <exception cref="KaslrMtException">KMT2507: this kernel loads modules in a way that is not known; which symbol or call.</exception>
    public static ModuleNamePatch Locate(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols)
    {
        ArgumentNullException.ThrowIfNull(elf);
        ArgumentNullException.ThrowIfNull(symbols);
        string[] names = ["_text", "_etext", "load_module", "find_vm_area", "msleep", .. Allocators, .. SpaceFunctions, .. OtherAllocators];
        symbols.TryResolve(names, out VirtualAddress?[] addresses);
        Dictionary<string, VirtualAddress> found = names.Zip(addresses).Where(pair => pair.Second is not null).ToDictionary(pair => pair.First, pair => pair.Second!.Value);
        if (Array.Find(OtherAllocators, found.ContainsKey) is { } other)
        {
            throw Unknown($"it has {other}: modules' text comes out of larger blocks");
        }

        VirtualAddress loader = Require(found, "load_module"), allocator = Require(found, Allocators), space = Require(found, SpaceFunctions);
        KernelFunction load = Decode(file, elf, symbols, loader);
        VirtualAddress[] returns = [.. load.CallsTo([allocator]).Select(call => new VirtualAddress(load.Instructions[call].NextIP))];
        if (returns.Length is 0 or > 2)
        {
            throw Unknown($"load_module calls the allocator of modules {returns.Length} times, expected once or twice");
        }

        KernelFunction allocate = Decode(file, elf, symbols, allocator);
        int[] asked = [.. allocate.CallsTo([space])];
        if (asked.Length is 0 or > 2)
        {
            throw Unknown($"the allocator of modules asks {asked.Length} times for address space, expected once, or twice where it may fall back");
        }

        (VirtualAddress text, VirtualAddress end) = (Require(found, "_text"), Require(found, "_etext"));
        List<(VirtualAddress Address, int Offset)> calls = Callers(file, elf, symbols, text, end, loader);
        int nameOffset = NameOffset(file, elf, symbols);
        (VirtualAddress place, int placeOffset) = Room(file, elf, symbols, end, ModuleNameCode.Size(calls.Count));

        var code = new ModuleNameCode(
            place, new ModuleNameCode.Surroundings(returns[0], returns[^1], space, Require(found, "find_vm_area"), Require(found, "msleep"), nameOffset));
        var jumps = ImmutableArray.CreateBuilder<Jump>(calls.Count + 1);
        jumps.Add(new Jump(allocate.OffsetOf(asked[0]), ModuleNameCode.Call(new VirtualAddress(allocate.Instructions[asked[0]].IP), place)));
        foreach ((VirtualAddress address, int offset) in calls)
        {
            VirtualAddress stub = code.AddCaller(loader, address + JumpSize);
            jumps.Add(new Jump(offset, ModuleNameCode.Jump(address, stub)));
        }

        return new ModuleNamePatch(placeOffset, code.ToArray(), ModuleNameCode.SaltOffset, jumps.MoveToImmutable());
    }

    /// <summary>The same patch for another file that holds the kernel's segments.</summary>
    /// <param name="map">From an offset in the unpacked kernel's file to the other's.</param>
    internal ModuleNamePatch In(Func<int, long> map) => this with
    {
        CodeOffset = map((int)CodeOffset),
        Jumps = [.. Jumps.Select(jump => jump with { Offset = map((int)jump.Offset) })],
    };

    /// <summary>The code for a modules slot.</summary>
    internal byte[] CodeFor(ulong slot)
    {
        byte[] code = [.. Code];
        BinaryPrimitives.WriteUInt32LittleEndian(code.AsSpan(SaltOffset), ModuleNameCode.Salt(slot));
        return code;
    }

    private static List<(VirtualAddress Address, int Offset)> Callers(
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

            KallsymsPlace? place = symbols.Find(address);
            KernelFunction? caller = place is null ? null : Decode(file, elf, symbols, place.Symbol.Address);
            if (caller?.CallsTo([target]).Any(call => caller.Instructions[call].IP == address.Value) != true)
            {
                throw Unknown("bytes that call load_module are no instruction of a function");
            }

            calls.Add((address, start + at));
        }

        return calls.Count > 0 ? calls : throw Unknown("nobody calls load_module");
    }

    /// <summary>Filler of the text: before its end where the linker put some, else behind it in its last page, which is mapped as text still.</summary>
    private static (VirtualAddress Address, int Offset) Room(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, VirtualAddress end, int size)
    {
        VirtualAddress before = new((end.Value - (ulong)size - Distance) & ~(Distance - 1UL));
        if (IsFiller(file, elf, new VirtualAddress(before.Value - Distance), (int)(end.Value - before.Value) + Distance, 0xcc, out int offset))
        {
            return (before, offset + Distance);
        }

        VirtualAddress behind = new((end.Value + Distance - 1) & ~(Distance - 1UL));
        ulong page = (end.Value + PageSize - 1) & ~(PageSize - 1UL);
        ulong free = symbols.Find(end) is { Size: ulong until, Offset: 0 } ? end.Value + until : end.Value;
        int room = (int)(page - end.Value);
        return behind.Value + (ulong)size <= Math.Min(page, free) && IsFiller(file, elf, end, room, 0, out offset)
            ? (behind, offset + (int)(behind.Value - end.Value))
            : throw Unknown($"there is no room for {size} bytes at the end of its text");
    }

    private static bool IsFiller(ReadOnlySpan<byte> file, ElfImage elf, VirtualAddress address, int length, byte filler, out int offset) =>
        elf.TryGetFileOffset(address, length, out offset) && file.Slice(offset, length).IndexOfAnyExcept(filler) < 0;

    private static int NameOffset(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols)
    {
        symbols.TryResolve(["__start_BTF", "__stop_BTF"], out VirtualAddress?[] ends);
        if (ends[0] is not VirtualAddress start || ends[1] is not VirtualAddress stop || stop < start || stop - start > TypeTable.MaxBytes
            || !elf.TryGetFileOffset(start, (int)(stop - start), out int offset))
        {
            throw Unknown("it describes no types (CONFIG_DEBUG_INFO_BTF)");
        }

        try
        {
            Field name = TypeTable.Read(file.Slice(offset, (int)(stop - start)).ToArray()).RequiredStruct("load_info").Required("name");
            return name.Offset <= sbyte.MaxValue && name.Size == sizeof(ulong) ? name.Offset : throw Unknown("struct load_info has its name at an unknown place");
        }
        catch (KaslrMtException error) when (error.Code != PatchErrors.ModuleNames)
        {
            throw Unknown(error.Problem);
        }
    }

    private static KernelFunction Decode(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, VirtualAddress start)
    {
        KallsymsPlace? place = symbols.Find(start);
        return KernelFunction.Decode(file, elf, place?.Symbol.Name ?? "", start, place?.Size ?? 0);
    }

    private static VirtualAddress Require(Dictionary<string, VirtualAddress> found, params string[] names) =>
        Array.Find(names, found.ContainsKey) is { } name ? found[name] : throw Unknown($"it has none of the symbols {string.Join(", ", names)}");

    private static KaslrMtException Unknown(string problem) => new(
        PatchErrors.ModuleNames, $"this kernel cannot be made to place modules by name: {problem}", "leave --module-addresses out, or use a kernel from 5.10 to 6.12");

    /// <summary>A call that goes elsewhere.</summary>
    /// <param name="Offset">Where in the image's file.</param>
    /// <param name="Bytes">The five bytes that replace it.</param>
    public sealed record Jump(long Offset, byte[] Bytes);
}
