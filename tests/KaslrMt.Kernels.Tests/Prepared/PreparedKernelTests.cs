using System.Buffers.Binary;
using System.Text;
using KaslrMt.Layout;
using Xunit.Abstractions;

namespace KaslrMt.Kernels.Tests;

/// <summary>The format of prepared kernels: what is written is read again, and whatever else is read leaves no segment.</summary>
public sealed class PreparedKernelTests(ITestOutputHelper output) : IDisposable
{
    private const int Mutants = 24_000;

    private readonly string _folder = MemoryFolder.Create();

    public static TheoryData<string> Kernels => [.. TestKernels.Names()];

    private string ImagePath => Path.Combine(_folder, "image");

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_kernel_that_was_written_and_read_gives_the_same_image(string name)
    {
        string path = Path.Combine(_folder, "prepared");
        using PreparedKernel kernel = PreparedKernel.Open(TestKernels.Image(name));
        using KernelLayout layout = Layouts.Of(kernel.Facts.Geometry, 3);
        kernel.WriteBootImage(layout, ImagePath);
        byte[] expected = File.ReadAllBytes(ImagePath);

        // It was moved: what is written is the kernel as linked all the same.
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite);
        kernel.WriteTo(file);
        using PreparedKernel again = PreparedKernel.Read(file);
        again.WriteBootImage(layout, ImagePath);
        Assert.True(expected.AsSpan().SequenceEqual(File.ReadAllBytes(ImagePath)));
        BootImageChecks.Check(expected, again.Facts, layout);
    }

    [Fact]
    public void Every_truncation_is_refused()
    {
        byte[] file = SmallKernel.Write(_folder);
        SmallKernel.Read(file).Dispose();
        for (int length = 1; length < file.Length; length++)
        {
            Assert.Throws<KaslrMtException>(() => SmallKernel.Read(file.AsSpan(0, length)));
        }

        Assert.Throws<KaslrMtException>(() => SmallKernel.Read([.. file, 0]));
    }

    [Theory]
    [InlineData("\"randomizeMemoryCall\":65792", "\"randomizeMemoryCall\":77820")]
    [InlineData("\"randomizeMemoryCall\":65792", "\"randomizeMemoryCall\":-4")]
    [InlineData("\"randomizeMemoryCall\":65792", "\"randomizeMemoryCall\":99999")]
    [InlineData("\"physmap\":66048", "\"physmap\":77817")]
    [InlineData("\"codeOffset\":67584", "\"codeOffset\":77773")]
    [InlineData("\"saltOffset\":8", "\"saltOffset\":61")]
    [InlineData("\"offset\":67840", "\"offset\":77820")]
    [InlineData("\"fileSize\":12288", "\"fileSize\":12289")]
    [InlineData("\"memorySize\":8192", "\"memorySize\":9999999")]
    [InlineData("\"entry\":16777280", "\"entry\":16789504")]
    [InlineData("\"alignment\":2097152", "\"alignment\":2097153")]
    [InlineData("vmalloc_base", "other_thing_")]
    [InlineData("6.1.0-small", "6.1.0\\nsma")]
    [InlineData("\"patch\":{", "\"patch\":null,\"x\":{")]
    [InlineData("\"segments\":[", "\"segments\":[],\"x\":[")]
    public void Facts_that_lead_out_of_the_kernel_are_refused(string from, string to)
    {
        byte[] file = SmallKernel.Write(_folder);
        int length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(24));
        string facts = Encoding.UTF8.GetString(file, PreparedKernelFormat.HeaderSize, length);
        Assert.Contains(from, facts, StringComparison.Ordinal);
        facts = facts.Replace(from, to, StringComparison.Ordinal);

        // Longer facts stay in the zeros before the first segment.
        byte[] changed = Rewrite(file, facts, length);
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => SmallKernel.Read(changed));
        Assert.Contains(error.Code.Number, (int[])[KernelErrors.Prepared.Number, 1201, 1202]);
    }

    [Theory]
    [InlineData(0, 0x2ffau)]
    [InlineData(3, 0x2017fdu)]
    [InlineData(5, 0x201801u)]
    [InlineData(8, 0x3000u)]
    [InlineData(8, 0xfffffffcu)]
    public void A_relocation_whose_width_leaves_its_segment_is_refused(int index, uint distance)
    {
        byte[] file = SmallKernel.Write(_folder);
        int lists = PreparedKernelFormat.ListsOffset(BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(24)));
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(lists + (4 * index)), unchecked((uint)SmallKernel.Facts.LinkBase + distance));
        Assert.Equal(KernelErrors.RelocationOutside, Assert.Throws<KaslrMtException>(() => SmallKernel.Read(file)).Code);
    }

    [Theory]
    [InlineData(1, 0x4u)]
    [InlineData(7, 0x22u)]
    [InlineData(7, 0xeu)]
    [InlineData(6, 0x10u)]
    public void Relocations_that_overlap_are_refused(int index, uint distance)
    {
        byte[] file = SmallKernel.Write(_folder);
        int lists = PreparedKernelFormat.ListsOffset(BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(24)));
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(lists + (4 * index)), unchecked((uint)SmallKernel.Facts.LinkBase + distance));
        Assert.Contains("same bytes", Assert.Throws<KaslrMtException>(() => SmallKernel.Read(file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Mutants_are_refused_or_stay_inside()
    {
        byte[] file = SmallKernel.Write(_folder);
        int facts = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(24));
        int lists = PreparedKernelFormat.ListsOffset(facts);
        Range[] parts = [0..40, 40..(40 + facts), lists..(lists + 36), 0..(lists + 36), 0..];
        int image = 0;
        Mutation.Run(output, Mutants, 1200..2899, random => Mutation.InPlace(file, parts[random.Next(parts.Length)], random, () =>
        {
            using PreparedKernel kernel = SmallKernel.Read(file);
            CheckInside(kernel);

            // Files take longer than all checks: one in so many is enough.
            if (++image % 16 == 0)
            {
                using KernelLayout layout = Layouts.Of(kernel.Facts.Geometry, (ulong)random.Next());
                kernel.WriteBootImage(layout, ImagePath, modules: kernel.Facts.ModuleNames is null ? ModuleAddresses.ByOrder : ModuleAddresses.ByName);
            }

            return true;
        }));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Says the same as the reader in other words; and moving there and back changes nothing.</summary>
    private static void CheckInside(PreparedKernel kernel)
    {
        foreach ((uint entry, ulong width) in Entries(kernel.Relocations))
        {
            ulong physical = unchecked(RelocationTable.LinkAddress(entry).Value - ElfImage.StartKernelMap);
            Assert.Contains(kernel.Facts.Segments, segment => physical >= segment.PhysicalAddress && physical + width <= segment.PhysicalAddress + (ulong)segment.FileSize);
        }

        byte[][] before = Bytes(kernel);
        kernel.MoveTo(new VirtualAddress(kernel.Facts.LinkBase + 0x1d200000));
        kernel.MoveTo(new VirtualAddress(kernel.Facts.LinkBase));
        Assert.Equal(before, Bytes(kernel));
    }

    private static byte[][] Bytes(PreparedKernel kernel) =>
        [.. kernel.Facts.Segments.Select(segment => kernel.Bytes(new VirtualAddress(segment.PhysicalAddress + ElfImage.StartKernelMap), segment.FileSize).ToArray())];

    private static IEnumerable<(uint Entry, ulong Width)> Entries(RelocationTable table) =>
    [
        .. table.Add64.ToArray().Select(entry => (entry, 8UL)),
        .. table.Subtract32.ToArray().Select(entry => (entry, 4UL)),
        .. table.Add32.ToArray().Select(entry => (entry, 4UL)),
    ];

    private static byte[] Rewrite(byte[] file, string facts, int length)
    {
        byte[] json = Encoding.UTF8.GetBytes(facts);
        int lists = PreparedKernelFormat.ListsOffset(length);
        byte[] changed = [.. file];
        Array.Clear(changed, PreparedKernelFormat.HeaderSize, 4096 - PreparedKernelFormat.HeaderSize);
        json.CopyTo(changed, PreparedKernelFormat.HeaderSize);
        file.AsSpan(lists, 36).CopyTo(changed.AsSpan(PreparedKernelFormat.ListsOffset(json.Length)));
        BinaryPrimitives.WriteInt32LittleEndian(changed.AsSpan(24), json.Length);
        return changed;
    }
}
