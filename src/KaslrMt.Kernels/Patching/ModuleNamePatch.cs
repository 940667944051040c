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
/// (BPF programs, trampolines) stay as they are. The code lies in filler of the kernel's text (<see cref="TextFiller"/>).</para>
/// <para>Kernels from 6.16 on would cut the text of all modules out of blocks of 2 MiB (<c>EXECMEM_ROX_CACHE</c>). A third place changes there, at
/// boot: modules' text is allocated by itself, as these kernels do on processors without large pages and 6.12 does everywhere.</para>
/// </remarks>
/// <param name="CodeOffset">Where the code lies in the image's file.</param>
/// <param name="Code">The code, for slot 0.</param>
/// <param name="SaltOffset">Where in the code the 32 bits lie that depend on the slot.</param>
/// <param name="Jumps">The calls that go by the code: where in the image's file, and the five bytes that replace them.</param>
public sealed record ModuleNamePatch(long CodeOffset, byte[] Code, int SaltOffset, ImmutableArray<ModuleNamePatch.Jump> Jumps)
{
    // What the assembler may need more at one place than at another: it chooses the shorter of two forms of a jump.
    private const int Slack = 16;

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
        try
        {
            return Make(file, elf, symbols, ModuleLoading.Find(file, elf, symbols));
        }
        catch (KaslrMtException error) when (error.Code != KernelErrors.ModuleNames)
        {
            throw ModuleLoading.Unknown(error.Problem);
        }
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

    private static ModuleNamePatch Make(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, ModuleLoading kernel)
    {
        symbols.TryResolve(["_text", "_etext"], out VirtualAddress?[] ends);
        (VirtualAddress text, VirtualAddress end) = (ends[0]!.Value, ends[1]!.Value);
        int size = ModuleNameCode.Assemble(end, kernel).Bytes.Length + Slack;
        if (!TextFiller.TryFind(file, elf, symbols, text, end, size, out (VirtualAddress Address, int Offset) place))
        {
            throw ModuleLoading.Unknown($"there is no room for {size} bytes in its text");
        }

        ModuleNameCode.Assembled code = ModuleNameCode.Assemble(place.Address, kernel);
        if (code.Bytes.Length > size)
        {
            throw ModuleLoading.Unknown($"the code takes {code.Bytes.Length} bytes, expected up to {size}");
        }

        List<Jump> jumps = [new(kernel.Request.Offset, ModuleNameCode.Jump(kernel.Request.Address, place.Address), false)];
        jumps.AddRange(kernel.Callers.Zip(code.Callers, (call, part) => new Jump(call.Offset, ModuleNameCode.Jump(call.Address, part), false)));
        if (kernel.Blocks is { } blocks && code.Setup is VirtualAddress setup)
        {
            jumps.Add(new Jump(blocks.Offset, ModuleNameCode.Jump(blocks.Address, setup), true));
        }

        return new ModuleNamePatch(place.Offset, code.Bytes, code.SaltOffset, [.. jumps]);
    }

    /// <summary>A call that goes elsewhere.</summary>
    /// <param name="Offset">Where in the image's file.</param>
    /// <param name="Bytes">The five bytes that replace it.</param>
    /// <param name="AtBoot">Whether the kernel gives it back once it has booted.</param>
    public sealed record Jump(long Offset, byte[] Bytes, bool AtBoot);
}
