namespace KaslrMt.Guests.Tests;

public sealed class PageFingerprintTests
{
    // Made by xxhash 0.8.1's own XXH3_128bits.
    [Theory]
    [InlineData(0, "3ee8dc4f9e7ee49593d76fe148c689ba")]
    [InlineData(31, "574c4e6aeefe6a120759080dff733e37")]
    public void Fingerprints_are_those_of_the_reference_implementation(int step, string expected)
    {
        var page = new byte[PageCensus.PageSize];
        for (int i = 0; i < page.Length; i++)
        {
            page[i] = (byte)(i * step >> 3);
        }

        Assert.Equal(expected, PageFingerprint.Of(page).ToString());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(PageCensus.PageSize - 1)]
    [InlineData(PageCensus.PageSize + 1)]
    public void Nothing_but_a_whole_page_has_a_fingerprint(int bytes) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => PageFingerprint.Of(new byte[bytes]));

    [Fact]
    public void Every_bit_of_a_page_counts()
    {
        var page = new byte[PageCensus.PageSize];
        new Random(7).NextBytes(page);
        HashSet<PageFingerprint> seen = [PageFingerprint.Of(page)];
        for (int bit = 0; bit < page.Length * 8; bit++)
        {
            page[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(seen.Add(PageFingerprint.Of(page)), $"bit {bit} changes nothing");
            page[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void All_pages_are_read_once_whoever_reads_them(int workers)
    {
        using var memory = new FakeMemory(67 * PageCensus.PageSize);
        new Random(11).NextBytes(memory.Ram);
        memory.Ram.Slice(5 * PageCensus.PageSize, PageCensus.PageSize).Clear();
        PageFingerprints found = PageFingerprints.Read(memory, 8 * PageCensus.PageSize, workers);
        Assert.Equal(67, found.Pages.Length);
        Assert.Equal(PageFingerprint.Zero, found.Pages[5]);
        for (int page = 0; page < found.Pages.Length; page++)
        {
            Assert.Equal(PageFingerprint.Of(memory.Ram.Slice(page * PageCensus.PageSize, PageCensus.PageSize)), found.Pages[page]);
        }
    }

    [Fact]
    public void What_was_never_written_is_zeros_and_is_not_read()
    {
        const int Page = PageCensus.PageSize;
        using var memory = new FakeMemory(40 * Page) { Written = [PhysicalRange.Between(4 * Page, 7 * Page), PhysicalRange.Between((20 * Page) + 1, 23 * Page)] };
        memory.Ram.Fill(7);
        PageFingerprints found = PageFingerprints.Read(memory, 2 * Page, 2);
        Assert.Equal([4, 5, 6, 21, 22], Enumerable.Range(0, 40).Where(page => found.Pages[page] != PageFingerprint.Zero));
        Assert.Equal(3, memory.Reads);
    }

    [Fact]
    public void Pages_are_numbered_across_the_gaps_of_ram()
    {
        var frames = new PageFrames([PhysicalRange.Between(0x800, 0x3800), PhysicalRange.Between(0x100000, 0x102000)]);
        Assert.Equal(4, frames.Count);
        Assert.Equal([0x1000UL, 0x2000UL, 0x100000UL, 0x101000UL], Enumerable.Range(0, 4).Select(i => frames.AddressOf(i).Value));
        Assert.Equal([-1, 0, 1, -1, 2, 3, -1], new ulong[] { 0x800, 0x1000, 0x2fff, 0x3000, 0x100000, 0x101fff, 0x102000 }.Select(at => frames.IndexOf(new PhysicalAddress(at))));
        Assert.Throws<ArgumentOutOfRangeException>(() => frames.AddressOf(4));
        Assert.Equal(GuestErrors.ModuleTooLarge, Assert.Throws<KaslrMtException>(() => new PageFrames([PhysicalRange.Between(0, 8UL << 40)])).Code);
    }
}
