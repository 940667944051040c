using System.Buffers.Binary;

namespace KaslrMt.Kernels.Tests;

/// <summary>The zero page, by the offsets of <c>Documentation/arch/x86/zero-page.rst</c>.</summary>
public sealed class ZeroPageTests
{
    [Fact]
    public void A_setup_header_is_taken_over_and_nothing_around_it()
    {
        byte[] file = RealKernel.ReadFile("6.1-cloud");
        BzImage setup = BzImage.Read(file);
        byte[] page = Fill(file[0x1f1..setup.HeaderEnd], randomized: true);

        // All but what a loader writes: type_of_loader, loadflags, ramdisk, command line, setup_data.
        int[] written = [0x210, 0x211, .. Enumerable.Range(0x218, 8), .. Enumerable.Range(0x228, 4), .. Enumerable.Range(0x250, 8)];
        for (int i = 0; i < page.Length; i++)
        {
            if (!written.Contains(i))
            {
                Assert.Equal(i >= 0x1f1 && i < setup.HeaderEnd ? file[i] : 0, page[i]);
            }
        }

        Assert.Equal(0xff, page[0x210]);
    }

    [Theory]
    [InlineData(0x00, true, 0x03)]
    [InlineData(0x01, true, 0x03)]
    [InlineData(0x01, false, 0x01)]
    [InlineData(0x83, true, 0x83)]
    [InlineData(0x83, false, 0x81)]
    public void Loadflags_say_loaded_high_and_whether_it_was_randomized(byte given, bool randomized, byte expected)
    {
        byte[] header = new byte[0x80];
        header[0x211 - 0x1f1] = given;

        Assert.Equal(expected, Fill(header, randomized)[0x211]);
    }

    [Fact]
    public void What_an_image_says_in_a_loaders_fields_never_reaches_the_guest()
    {
        byte[] header = new byte[0x290 - 0x1f1];
        Array.Fill(header, (byte)0xee);
        byte[] page = Fill(header, randomized: true);

        foreach (Range field in (Range[])[0x218..0x220, 0x228..0x22c, 0x250..0x258, 0xc0..0xcc, 0x70..0x78, 0x1e8..0x1e9, 0x1ef..0x1f0, 0x2d0..0x1000])
        {
            Assert.Equal(-1, page.AsSpan(field).IndexOfAnyExcept((byte)0));
        }
    }

    [Fact]
    public void A_bare_vmlinux_gets_a_header_of_protocol_2_15()
    {
        byte[] page = Fill([], randomized: true);

        Assert.Equal(0xaa55, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(0x1fe)));
        Assert.True(page.AsSpan(0x202).StartsWith("HdrS"u8));
        Assert.Equal(0x020f, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(0x206)));
        Assert.Equal(4u << 20, BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(0x230)));
        Assert.Equal(2047u, BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(0x238)));
        Assert.Equal((1, 3), (page[0x234], page[0x211]));
        Assert.Equal(0, page[0x1ef]);
    }

    private static byte[] Fill(byte[] header, bool randomized)
    {
        byte[] page = new byte[ZeroPage.Size];
        ZeroPage.Fill(page, header, 4 << 20, randomized);
        return page;
    }
}
