namespace KaslrMt.Kernels.Tests;

/// <summary>The real kernels that tests read, in the forms the layers take them. That the payloads unpack right is proven in Payloads/.</summary>
internal static class RealKernel
{
    /// <summary>The link address of the lowest segment of Debian's kernels (CONFIG_PHYSICAL_START, 16 MiB).</summary>
    public static readonly VirtualAddress LinkBase = new(0xffff_ffff_8100_0000);

    /// <summary>The bzImage.</summary>
    public static byte[] ReadFile(string name) => File.ReadAllBytes(TestKernels.Image(name));

    /// <summary>The payload, size word included.</summary>
    public static byte[] ReadPayload(string name)
    {
        byte[] file = ReadFile(name);
        BzImage setup = BzImage.Read(file);
        return file.AsSpan(setup.PayloadOffset, setup.PayloadLength).ToArray();
    }

    /// <summary>The unpacked payload: the ELF and the relocation table behind it.</summary>
    public static byte[] ReadUnpacked(string name)
    {
        using NativeBuffer unpacked = Payload.Decompress(ReadPayload(name));
        return unpacked.Span.ToArray();
    }

    /// <summary>The kernel's segments laid out by physical address, the lowest at 0, as a loaded kernel is.</summary>
    public static byte[] ReadFlat(string name)
    {
        byte[] file = ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(file);
        byte[] flat = new byte[elf.Span];
        foreach (ElfSegment load in elf.Loads)
        {
            file.AsSpan(load.FileOffset, load.FileSize).CopyTo(flat.AsSpan((int)(load.PhysicalAddress - elf.PhysicalStart)));
        }

        return flat;
    }
}
