using System.Buffers.Binary;
using System.Diagnostics;

namespace KaslrMt.Kernels.Tests;

/// <summary>Each way in which a setup header can lie, with the number of its error.</summary>
public sealed class HostileBzImageTests
{
    private static readonly byte[] AnyPayload = new byte[4096];

    public static TheoryData<string> Kernels => [.. TestKernels.Always];

    [Fact]
    public void A_sound_header_is_read_field_by_field()
    {
        BzImage setup = BzImage.Read(SmallBzImage.Build(AnyPayload));

        Assert.Equal((0x20f, 0x26c, 0x500, 4096), (setup.Protocol, setup.HeaderEnd, setup.PayloadOffset, setup.PayloadLength));
        Assert.Equal((2u << 20, new PhysicalAddress(16 << 20), 64u << 20, 2047u), (setup.KernelAlignment, setup.PreferredAddress, setup.InitSize, setup.CommandLineSize));
        Assert.Equal("", setup.Version);
    }

    [Theory]
    [InlineData("setup_sects past the end", 0x1f1, 1, 0xff, 2002)]
    [InlineData("boot_flag", 0x1fe, 2, 0x55aa, 2004)]
    [InlineData("jump backwards", 0x201, 1, 0x00, 2004)]
    [InlineData("jump over the payload fields", 0x201, 1, 0x4e, 2004)]
    [InlineData("jump past the header's room", 0x201, 1, 0x8f, 2004)]
    [InlineData("jump far", 0x201, 1, 0xff, 2004)]
    [InlineData("magic", 0x202, 4, 0x53726449, 2001)]
    [InlineData("protocol 2.07", 0x206, 2, 0x0207, 2003)]
    [InlineData("protocol 0", 0x206, 2, 0, 2003)]
    [InlineData("alignment 0", 0x230, 4, 0, 2004)]
    [InlineData("alignment of 1 MiB", 0x230, 4, 0x100000, 2004)]
    [InlineData("alignment of 32 MiB", 0x230, 4, 0x2000000, 2004)]
    [InlineData("alignment no power of two", 0x230, 4, 0x600000, 2004)]
    [InlineData("alignment of 4 GiB less 1", 0x230, 4, 0xffffffff, 2004)]
    [InlineData("not relocatable", 0x234, 1, 0, 2005)]
    [InlineData("32-bit", 0x236, 2, 0x7e, 2006)]
    [InlineData("payload_offset past the end", 0x248, 4, 0x101, 2002)]
    [InlineData("payload_offset wraps 32 bits", 0x248, 4, 0xffffffff, 2002)]
    [InlineData("payload_length past the end", 0x24c, 4, 4097, 2002)]
    [InlineData("payload_length wraps 32 bits", 0x24c, 4, 0xffffffff, 2002)]
    [InlineData("payload_length 0", 0x24c, 4, 0, 2004)]
    [InlineData("payload_length 7", 0x24c, 4, 7, 2004)]
    [InlineData("pref_address 0", 0x258, 8, 0, 2004)]
    [InlineData("pref_address unaligned", 0x258, 8, 0x1000001, 2004)]
    [InlineData("pref_address above 1 GiB", 0x258, 8, 0x40200000, 2004)]
    [InlineData("pref_address wraps", 0x258, 8, -0x200000L, 2004)]
    public void Each_header_field_that_is_wrong_has_its_number(string field, int offset, int size, long value, int number)
    {
        byte[] file = SmallBzImage.Build(AnyPayload);
        Set(file, offset, size, value);

        using KernelInspection found = KernelInspection.Of(file);

        KaslrMtException problem = Assert.IsType<KaslrMtException>(found.Problem);
        Assert.True(number == problem.Code.Number, $"{field}: {problem.Code} {problem.Message}");
        Assert.NotNull(problem.Remedy);
    }

    [Theory]
    [InlineData(0x201, 1, 0x56)]
    [InlineData(0x201, 1, 0x8e)]
    [InlineData(0x230, 4, 0x200000)]
    [InlineData(0x230, 4, 0x1000000)]
    [InlineData(0x248, 4, 0)]
    [InlineData(0x24c, 4, 8)]
    [InlineData(0x258, 8, 0x40000000)]
    [InlineData(0x206, 2, 0x0208)]
    public void Each_field_s_extreme_is_accepted(int offset, int size, long value)
    {
        byte[] file = SmallBzImage.Build(AnyPayload);
        Set(file, offset, size, value);

        Assert.InRange(BzImage.Read(file).PayloadLength, 8, 4096);
    }

    [Fact]
    public void Protocol_2_08_says_nothing_of_preferred_address_init_size_and_64_bits()
    {
        byte[] file = SmallBzImage.Build(AnyPayload);
        Set(file, 0x206, 2, 0x0208);
        Set(file, 0x236, 2, 0);
        Set(file, 0x258, 8, -1);
        BzImage setup = BzImage.Read(file);

        Assert.Null(setup.PreferredAddress);
        Assert.Equal(0u, setup.InitSize);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_kernel_cut_anywhere_in_its_header_and_anywhere_else_is_refused(string name)
    {
        byte[] file = RealKernel.ReadFile(name);
        BzImage whole = BzImage.Read(file);
        int end = whole.PayloadOffset + whole.PayloadLength;
        IEnumerable<int> cuts = [.. Enumerable.Range(0, 0x400), .. Enumerable.Range(1, 200).Select(i => (int)((long)end * i / 201)), end - 1];
        foreach (int cut in cuts)
        {
            using KernelInspection found = KernelInspection.Of(file.AsSpan(0, cut));
            Assert.Equal(cut < 0x206 ? 2001 : 2002, found.Problem?.Code.Number);
        }
    }

    [Theory]
    [InlineData(0x0000_0000u)]
    [InlineData(0x4000_0001u)]
    [InlineData(0xffff_ffffu)]
    public void A_payload_that_claims_an_impossible_size_is_refused_before_memory_is_taken(uint claim)
    {
        byte[] payload = new byte[8 << 20];
        ((ReadOnlySpan<byte>)[0x28, 0xb5, 0x2f, 0xfd]).CopyTo(payload);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(payload.Length - 4), claim);

        using KernelInspection found = KernelInspection.Of(SmallBzImage.Build(payload));

        Assert.Equal(KernelErrors.PayloadDeclaredSize, found.Problem?.Code);
        Assert.Null(found.UnpackedSize);
    }

    [Fact]
    public void A_payload_that_unpacks_to_100_GB_stops_at_the_declared_size()
    {
        // Blocks of one repeated byte: 4 bytes unpack to 128 KiB (RFC 8878, section 3.1.1.2).
        const int Blocks = 800_000;
        byte[] payload = new byte[6 + (Blocks * 4) + 4];
        new byte[] { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88 }.CopyTo(payload, 0);
        for (int block = 0; block < Blocks; block++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(6 + (block * 4)), (128u << 10 << 3) | (1 << 1) | (block == Blocks - 1 ? 1u : 0));
        }

        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(payload.Length - 4), 64 << 20);
        long start = Stopwatch.GetTimestamp();

        using KernelInspection found = KernelInspection.Of(SmallBzImage.Build(payload));

        Assert.Equal(KernelErrors.PayloadLongerThanDeclared, found.Problem?.Code);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 10);
    }

    [Fact]
    public void A_payload_in_no_format_that_Linux_knows_is_refused()
    {
        using KernelInspection found = KernelInspection.Of(SmallBzImage.Build(AnyPayload));

        Assert.Equal(KernelErrors.PayloadUnknownFormat, found.Problem?.Code);
        Assert.NotNull(found.Setup);
    }

    private static void Set(byte[] file, int offset, int size, long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        bytes[..size].CopyTo(file.AsSpan(offset));
    }
}
