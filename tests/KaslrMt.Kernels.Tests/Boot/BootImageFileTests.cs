using System.Buffers.Binary;
using KaslrMt.Layout;

namespace KaslrMt.Kernels.Tests;

/// <summary>The written image, read back.</summary>
public sealed class BootImageFileTests : IDisposable
{
    private readonly string _folder = MemoryFolder.Create();

    public static TheoryData<string> Kernels => [.. TestKernels.Names()];

    private string ImagePath => Path.Combine(_folder, "image");

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Every_kernels_image_is_what_QEMU_takes(string name)
    {
        using KernelImage kernel = KernelImage.Open(TestKernels.Image(name));
        foreach (ulong vm in (ulong[])[1, 2, 3])
        {
            using KernelLayout layout = Layouts.Of(kernel.Geometry, vm);
            kernel.WriteBootImage(layout, ImagePath);
            BootImageChecks.Check(File.ReadAllBytes(ImagePath), kernel.Facts, layout);
        }

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(ImagePath));
        Assert.Equal([ImagePath], Directory.GetFiles(_folder));
    }

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public void The_body_is_the_kernel_relocated_as_its_own_loop_would_and_changed_at_the_patch_sites_alone(string name)
    {
        using KernelImage kernel = KernelImage.Open(TestKernels.Image(name));
        using KernelLayout layout = Layouts.Of(kernel.Geometry, 7);
        kernel.WriteBootImage(layout, ImagePath);
        byte[] image = File.ReadAllBytes(ImagePath);
        byte[] expected = RealKernel.ReadUnpacked(name);
        kernel.Relocations.Apply(expected, layout.KernelVirtual - kernel.Geometry.LinkBase);

        HashSet<long> different = [];
        BootImageChecks.Segment[] loads = [.. BootImageChecks.Read(image).Where(segment => segment.Type == 1).Skip(1)];
        for (int i = 0; i < loads.Length; i++)
        {
            ElfSegment source = kernel.Elf.Loads[i];
            for (int at = 0; at < source.FileSize; at++)
            {
                at += expected.AsSpan(source.FileOffset + at, source.FileSize - at).CommonPrefixLength(image.AsSpan(loads[i].Offset + at, source.FileSize - at));
                if (at < source.FileSize)
                {
                    different.Add(loads[i].Offset + at);
                }
            }
        }

        KernelFacts.PatchSites sites = kernel.Facts.Patch;
        long[] starts = [sites.RandomizeMemoryCall, sites.Physmap, sites.Vmalloc, sites.Vmemmap, sites.DirectMapEnd ?? 0, sites.ModuleOffset ?? 0];
        Assert.NotEmpty(different);
        Assert.All(different, at => Assert.Contains(starts, start => at >= start && at < start + 8));
    }

    [Fact]
    public void The_front_tells_the_stub_where_the_kernel_enters()
    {
        using KernelImage kernel = KernelImage.Open(TestKernels.Image("6.12-cloud"));
        using KernelLayout layout = Layouts.Of(kernel.Geometry, 4);
        byte[] front = BootImageFile.BuildFront(kernel.Facts, layout.KernelPhysical, randomized: true);
        BootImageChecks.Segment low = Low(front);
        ReadOnlySpan<byte> page = front.AsSpan(low.Offset);

        Assert.Equal(0x100000u, low.Address);
        Assert.True(page.StartsWith(EntryStub.Code));
        Assert.Equal(kernel.Elf.Entry.Value + layout.KernelPhysical.Value - (16 << 20), BinaryPrimitives.ReadUInt64LittleEndian(page[EntryStub.KernelEntryOffset..]));
        Assert.Equal(31, BinaryPrimitives.ReadUInt16LittleEndian(page[EntryStub.GdtPointerOffset..]));
        Assert.Equal(0x100000u + EntryStub.GdtOffset, BinaryPrimitives.ReadUInt32LittleEndian(page[(EntryStub.GdtPointerOffset + 2)..]));
        Assert.Equal(3, page[0x1000 + 0x211] & 3);
    }

    [Fact]
    public void As_many_segments_as_an_ELF_may_have_leave_the_stub_and_the_note_whole()
    {
        using KernelImage kernel = KernelImage.Open(TestKernels.Image("6.1-cloud"));
        PhysicalAddress physicalBase = new(1 << 30);
        KernelFacts many = kernel.Facts with
        {
            Segments = [.. Enumerable.Range(0, 64).Select(i => new KernelFacts.Segment((16 << 20) + ((ulong)i << 15), 0x4000, 0x4000))],
        };
        byte[] front = BootImageFile.BuildFront(many, physicalBase, randomized: true, new PhysicalRange(physicalBase, 2 << 20));
        int headers = BinaryPrimitives.ReadUInt16LittleEndian(front.AsSpan(56));
        BootImageChecks.Segment low = Low(front);
        int note = (int)BinaryPrimitives.ReadUInt64LittleEndian(front.AsSpan(64 + ((headers - 1) * 56) + 8));

        // The low segment, 64 of the kernel's, 64 copies of them, the note.
        Assert.Equal(130, headers);
        Assert.InRange(64 + (headers * 56), 0, note);
        Assert.InRange(note + 24, 0, low.Offset);
        Assert.True(front.AsSpan(low.Offset).StartsWith(EntryStub.Code));
    }

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public void The_link_layout_changes_not_a_byte_of_the_kernel(string name)
    {
        using KernelImage kernel = KernelImage.Open(TestKernels.Image(name));
        using KernelLayout layout = KernelLayout.Link(kernel.Geometry);
        kernel.WriteBootImage(layout, ImagePath);
        byte[] image = File.ReadAllBytes(ImagePath);
        byte[] unpacked = RealKernel.ReadUnpacked(name);

        BootImageChecks.Segment[] loads = [.. BootImageChecks.Read(image).Where(segment => segment.Type == 1).Skip(1)];
        Assert.Equal(kernel.Elf.Loads.Length, loads.Length);
        for (int i = 0; i < loads.Length; i++)
        {
            ElfSegment source = kernel.Elf.Loads[i];
            Assert.Equal(source.PhysicalAddress.Value, loads[i].Address);
            Assert.True(unpacked.AsSpan(source.FileOffset, source.FileSize).SequenceEqual(image.AsSpan(loads[i].Offset, loads[i].FileSize)));
        }

        Assert.Equal(1, image[Low(image).Offset + 0x1000 + 0x211] & 3);
    }

    [Fact]
    public void Images_of_several_layouts_from_one_kernel_do_not_depend_on_their_order()
    {
        using KernelImage kernel = KernelImage.Open(TestKernels.Image("6.1-cloud"));
        using KernelLayout first = Layouts.Of(kernel.Geometry, 1);
        using KernelLayout other = Layouts.Of(kernel.Geometry, 2, "another-tenant-key-here");
        kernel.WriteBootImage(first, ImagePath);
        byte[] before = File.ReadAllBytes(ImagePath);
        kernel.WriteBootImage(other, ImagePath);
        Assert.False(before.AsSpan().SequenceEqual(File.ReadAllBytes(ImagePath)));
        kernel.WriteBootImage(first, ImagePath);

        Assert.True(before.AsSpan().SequenceEqual(File.ReadAllBytes(ImagePath)));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static BootImageChecks.Segment Low(byte[] image)
    {
        // The front alone is no whole file: only its first segment is read.
        int offset = (int)BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(64 + 8));
        return new BootImageChecks.Segment(1, offset, BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(64 + 24)), 0, 0);
    }
}
