using System.Buffers.Binary;
using KaslrMt.Layout;

namespace KaslrMt.Kernels.Tests;

/// <summary>Reads a bootable ELF back, from the ELF specification and not from the code that writes it, and checks all that QEMU stands on.</summary>
internal static class BootImageChecks
{
    private const int ProgramHeader = 56;
    private const uint Load = 1;
    private const uint Note = 4;

    /// <summary>One program header; sizes and offsets in bytes.</summary>
    internal readonly record struct Segment(uint Type, int Offset, ulong Address, int FileSize, ulong MemorySize)
    {
        public int FileEnd => Offset + FileSize;

        public ulong End => Address + MemorySize;
    }

    /// <summary>Checks the image against what it was made of.</summary>
    public static void Check(ReadOnlySpan<byte> image, KernelFacts kernel, KernelLayout layout)
    {
        Segment[] segments = Read(image);
        Segment[] loads = [.. segments.Where(segment => segment.Type == Load)];
        Segment note = Assert.Single(segments, segment => segment.Type == Note);
        Assert.Equal(kernel.Segments.Length + 1, loads.Length);
        Assert.Equal(segments.Length, loads.Length + 1);

        // The note is QEMU's alone: no segment carries it into the guest, where /sys/kernel/notes could show it.
        Assert.All(loads, load => Assert.True(note.FileEnd <= load.Offset || load.FileEnd <= note.Offset));
        CheckNote(image.Slice(note.Offset, note.FileSize), loads[0].Address);

        ulong slide = layout.KernelPhysical.Value - kernel.LinkPhysical;
        for (int i = 0; i < kernel.Segments.Length; i++)
        {
            KernelFacts.Segment expected = kernel.Segments[i];
            Segment load = loads[i + 1];
            Assert.Equal((expected.PhysicalAddress + slide, expected.FileSize, expected.MemorySize), (load.Address, load.FileSize, load.MemorySize));
            Assert.Equal(0, load.Offset % 4096);
            Assert.True(load.Address >= loads[i].End, "segments overlap in memory");
            Assert.True(load.Offset >= loads[i].FileEnd, "segments overlap in the file");
        }

        Assert.InRange(image.Length, loads[^1].FileEnd, loads[^1].FileEnd + 4095);
        CheckPatch(image, kernel.Patch, layout);
    }

    /// <summary>The program headers, in the file's order; every offset checked against the file.</summary>
    public static Segment[] Read(ReadOnlySpan<byte> image)
    {
        Assert.True(image.StartsWith((ReadOnlySpan<byte>)[0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1]));
        Assert.Equal((2, 62), (U16(image, 16), U16(image, 18)));
        Assert.Equal((64, ProgramHeader), (U16(image, 52), U16(image, 54)));
        var segments = new Segment[U16(image, 56)];
        int at = checked((int)U64(image, 32));
        for (int i = 0; i < segments.Length; i++, at += ProgramHeader)
        {
            ReadOnlySpan<byte> header = image.Slice(at, ProgramHeader);
            segments[i] = new Segment(
                U32(header, 0), checked((int)U64(header, 8)), U64(header, 24), checked((int)U64(header, 32)), U64(header, 40));
            Assert.InRange(segments[i].FileEnd, segments[i].Offset, image.Length);
            Assert.True((ulong)segments[i].FileSize <= segments[i].MemorySize);
            Assert.Equal(U64(header, 16), U64(header, 24));
        }

        return segments;
    }

    private static void CheckNote(ReadOnlySpan<byte> note, ulong entry)
    {
        // XEN_ELFNOTE_PHYS32_ENTRY of owner "Xen", as QEMU's load_elfboot looks for it.
        Assert.Equal((4u, 8u, 18u), (U32(note, 0), U32(note, 4), U32(note, 8)));
        Assert.True(note[12..16].SequenceEqual("Xen\0"u8));
        Assert.Equal(entry, U64(note, 16));
    }

    private static void CheckPatch(ReadOnlySpan<byte> image, KernelFacts.PatchSites sites, KernelLayout layout)
    {
        Assert.True(image[(int)sites.RandomizeMemoryCall..].StartsWith(BootPatch.Nop5));
        Assert.Equal(layout.Physmap.Value, U64(image, (int)sites.Physmap));
        Assert.Equal(layout.Vmalloc.Value, U64(image, (int)sites.Vmalloc));
        Assert.Equal(layout.Vmemmap.Value, U64(image, (int)sites.Vmemmap));
        if (sites.DirectMapEnd is long end)
        {
            Assert.Equal(layout.DirectMapSize - 1, U64(image, (int)end));
        }

        if (sites.ModuleOffset is long modules)
        {
            Assert.Equal(0xb8, image[(int)modules]);
            Assert.Equal((uint)layout[Region.Modules].Slot << sites.ModuleOffsetShift, U32(image, (int)modules + 1));
        }
    }

    private static int U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
}
