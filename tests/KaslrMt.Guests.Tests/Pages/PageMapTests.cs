namespace KaslrMt.Guests.Tests;

public sealed class PageMapTests
{
    private const ulong NoExecute = 1UL << 63;

    [Theory]
    [InlineData("6.1")]
    [InlineData("6.11")]
    [InlineData("6.12")]
    public void Each_page_has_the_class_of_what_maps_it_or_of_its_struct_page(string shape)
    {
        using var fake = new FakePages(shape);
        fake.Memory.Map(FakePages.Vmalloc + 0x5000, 0x300000, flags: NoExecute | 3);
        fake.Set(0x300, mapping: 1);
        fake.Memory.Map(FakePages.Vmalloc + 0x6000, 0x301000, flags: NoExecute | 3);
        fake.Set(0x301, FakePages.Reserved);
        fake.Memory.Map(FakePages.Modules + 0x1000, 0x302000, flags: 1);
        fake.Memory.Map(FakePages.Modules + 0x2000, 0x303000, flags: NoExecute | 1);
        fake.Memory.Map(FakePages.Text + 0x1a000, 0x304000, flags: NoExecute | 3);
        fake.SetSlab(0x304);
        fake.SetSlab(0x310);
        fake.Set(0x311, compound: 0xffffea0000000001);
        fake.Set(0x312, compound: 0x8000000000000001);
        fake.SetTable(0x320);
        fake.SetBuddy(0x330, order: 1);
        fake.Set(0x331, references: 0);
        fake.Set(0x332, references: 0, compound: FakePages.Link(0x200));
        fake.Set(0x333, references: 0, compound: FakePages.Link(0x333));
        fake.Set(0x334, references: 0, compound: 0xdead000000000100);
        fake.SetBuddy(0x3fe, order: ulong.MaxValue);
        fake.Set(0x3ff, references: 0);
        fake.Set(0x340, mapping: 0xffff888000001001);
        fake.Set(0x341, mapping: 0xffff888000001000);
        fake.Set(0x342, FakePages.Lru);
        fake.Set(0x343, type: 3, mapping: 0xffff888000001003);
        fake.Set(0x344);
        fake.Set(0x345, FakePages.Reserved);

        // Given back after boot: init memory inside the image, free or used for something else by now.
        fake.SetBuddy(FakePages.ImageAt + 6);
        fake.SetSlab(FakePages.ImageAt + 7);
        PageMap map = fake.Classify();

        Assert.True(map.IsComplete);
        Assert.Equal(FakePages.Count, map.Census.Total);
        Assert.Equal(FakePages.Count, PageClassNames.All.Sum(pageClass => map.Census[pageClass]));
        Assert.Equal(5, map.Census[PageClass.KernelCode]);
        Assert.Equal(0x19 - 5 - 2, map.Census[PageClass.KernelData]);
        Assert.Equal(PageClass.Free, map.Pages[FakePages.ImageAt + 6]);
        Assert.Equal(PageClass.Slab, map.Pages[FakePages.ImageAt + 7]);
        Assert.Equal(FakePages.VmemmapPages, map.Census[PageClass.Vmemmap]);
        Assert.Equal(
            [PageClass.Vmalloc, PageClass.Reserved, PageClass.ModuleCode, PageClass.ModuleData, PageClass.Slab],
            map.Pages.Slice(0x300, 5).ToArray());
        Assert.Equal([PageClass.Slab, PageClass.Slab, PageClass.Slab, PageClass.OtherKernel], map.Pages.Slice(0x310, 4).ToArray());
        Assert.Equal(PageClass.PageTable, map.Pages[0x320]);
        Assert.Equal(
            [PageClass.Free, PageClass.Free, PageClass.Free, PageClass.OtherKernel, PageClass.OtherKernel],
            map.Pages.Slice(0x330, 5).ToArray());
        Assert.Equal([PageClass.Free, PageClass.Free], map.Pages.Slice(0x3fe, 2).ToArray());
        Assert.Equal(
            [PageClass.User, PageClass.PageCache, PageClass.PageCache, PageClass.User, PageClass.OtherKernel, PageClass.Reserved],
            map.Pages.Slice(0x340, 6).ToArray());
    }

    [Fact]
    public void Tables_of_the_kernel_are_tables_though_their_struct_page_says_nothing()
    {
        using var fake = new FakePages("6.1");
        fake.Set((int)(FakeMemory.Root >> 12), FakePages.Reserved);
        fake.Set(0x10);
        PageMap map = fake.Classify();
        Assert.Equal(PageClass.PageTable, map.Pages[(int)(FakeMemory.Root >> 12)]);
        Assert.Equal(PageClass.PageTable, map.Pages[0x10]);
    }

    [Fact]
    public void Ram_without_a_struct_page_is_reserved_but_for_what_maps_it()
    {
        using var fake = new FakePages("6.12");
        fake.Memory.Map(FakePages.Vmalloc + 0x5000, 0x300000);
        fake.Memory.WriteWord(FakeMemory.Root + (((FakePages.Vmemmap >> 39) & 511) * 8), 0);
        PageMap map = fake.Classify();
        Assert.Equal(PageClass.Vmalloc, map.Pages[0x300]);
        Assert.Equal(PageClass.KernelCode, map.Pages[FakePages.ImageAt]);
        Assert.Equal(PageClass.Reserved, map.Pages[0x3ff]);
        Assert.Equal(0, map.Census[PageClass.Free]);
    }

    [Fact]
    public void Tables_that_lead_to_themselves_end_in_a_marked_answer()
    {
        using var fake = new FakePages("6.12");
        for (ulong entry = 256; entry < 511; entry++)
        {
            if (fake.Memory.ReadWord(FakeMemory.Root + (entry * 8)) == 0)
            {
                fake.Memory.WriteWord(FakeMemory.Root + (entry * 8), FakeMemory.Root | 3);
            }
        }

        PageMap map = fake.Classify();
        Assert.False(map.IsComplete);
        Assert.Equal(FakePages.Count, PageClassNames.All.Sum(pageClass => map.Census[pageClass]));
    }

    [Fact]
    public void One_page_mapped_over_and_over_costs_a_bounded_time()
    {
        using var fake = new FakePages("6.12");
        const ulong Table = 0x3f0000;
        for (ulong entry = 0; entry < 512; entry++)
        {
            fake.Memory.WriteWord(Table + (entry * 8), 0x83);
            fake.Memory.WriteWord(Table + 0x1000 + (entry * 8), Table | 3);
        }

        // 512 tables' entries lead to one table of 512 large pages, each all of RAM.
        fake.Memory.WriteWord(FakeMemory.Root + (((FakePages.Vmalloc >> 39) & 511) * 8), (Table + 0x1000) | 3);
        PageMap map = fake.Classify();
        Assert.False(map.IsComplete);
        Assert.InRange(fake.Memory.Reads, 1, 200_000);
    }

    [Fact]
    public void Random_damage_gives_an_answer_or_a_numbered_error()
    {
        int answers = 0;
        for (int seed = 0; seed < 300; seed++)
        {
            using var fake = new FakePages(seed % 2 == 0 ? "6.1" : "6.12");
            fake.Memory.Map(FakePages.Vmalloc + 0x5000, 0x300000);
            var random = new Random(seed);
            for (int change = 0; change < 30; change++)
            {
                ulong at = (ulong)(random.Next(2) == 0 ? random.Next(0x200, 0x4000) : random.Next(0, Count / 8)) * 8;
                fake.Memory.WriteWord(at, random.Next(3) switch { 0 => (ulong)random.NextInt64() | 1, 1 => ((ulong)random.Next(Count >> 12) << 12) | 0x83, _ => ulong.MaxValue });
            }

            try
            {
                PageMap map = fake.Classify();
                Assert.Equal(FakePages.Count, PageClassNames.All.Sum(pageClass => map.Census[pageClass]));
                answers++;
            }
            catch (KaslrMtException error)
            {
                Assert.Equal(GuestErrors.NoKernel, error.Code);
            }
        }

        Assert.InRange(answers, 1, 300);
    }

    private const int Count = FakePages.Count << 12;
}
