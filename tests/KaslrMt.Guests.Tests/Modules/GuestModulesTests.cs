namespace KaslrMt.Guests.Tests;

public sealed class GuestModulesTests
{
    private const ulong Text = FakeModules.Base + 0x40000;

    [Fact]
    public void Modules_come_in_load_order_with_an_area_for_each_group_of_sections()
    {
        var fake = new FakeModules(before64: false);
        fake.Add("first", (ModuleSection.Text, Text, 0x1800), (ModuleSection.Data, Text + 0x9000, 0x100));
        fake.Add("second", (ModuleSection.InitText, Text + 0x20000, 0x10), (ModuleSection.ReadOnlyAfterInit, Text + 0x21000, 0x20));
        GuestModules modules = fake.Read();

        Assert.Null(modules.Problem);
        Assert.Equal(["first", "second"], modules.InLoadOrder.Select(module => module.Name));
        Assert.Equal([new ModuleArea(ModuleSection.Text, new(Text), 0x1800), new(ModuleSection.Data, new(Text + 0x9000), 0x100)], modules.InLoadOrder[0].Areas.ToArray());
        Assert.Equal((Text, 0x1900UL), (modules.InLoadOrder[0].Address!.Value.Value, modules.InLoadOrder[0].Size));
        Assert.Null(modules.InLoadOrder[1].Address);
        Assert.Equal([ModuleSection.ReadOnlyAfterInit, ModuleSection.InitText], modules.InLoadOrder[1].Areas.Select(area => area.Section));
    }

    [Fact]
    public void Before_6_4_the_two_pieces_of_memory_are_cut_into_groups()
    {
        var fake = new FakeModules(before64: true);
        fake.Add("old", Text, [0x5000, 0x1000, 0x2000, 0x3000], Text + 0x10000, [0x3000, 0x1000, 0x2000, 0]);
        fake.Add("live", Text + 0x20000, [0x2000, 0x1000, 0x1000, 0x1000], 0, [0, 0, 0, 0]);
        GuestModules modules = fake.Read();

        Assert.Null(modules.Problem);
        Assert.Equal(
            [
                new ModuleArea(ModuleSection.Text, new(Text), 0x1000),
                new(ModuleSection.ReadOnlyData, new(Text + 0x1000), 0x1000),
                new(ModuleSection.ReadOnlyAfterInit, new(Text + 0x2000), 0x1000),
                new(ModuleSection.Data, new(Text + 0x3000), 0x2000),
                new(ModuleSection.InitText, new(Text + 0x10000), 0x1000),
                new(ModuleSection.InitReadOnlyData, new(Text + 0x11000), 0x1000),
                new(ModuleSection.InitData, new(Text + 0x12000), 0x1000),
            ],
            modules.InLoadOrder[0].Areas.ToArray());
        Assert.Equal([ModuleSection.Text, ModuleSection.Data], modules.InLoadOrder[1].Areas.Select(area => area.Section));
    }

    [Fact]
    public void An_address_is_told_by_module_section_and_nearest_symbol()
    {
        var fake = new FakeModules(before64: false);
        ulong module = fake.Add("net", (ModuleSection.Text, Text, 0x1000), (ModuleSection.Data, Text + 0x2000, 0x1000));
        fake.AddSymbols(module, ("start", Text + 0x10), ("$x", Text + 0x20), (".Lloop", Text + 0x30), ("stop", Text + 0x100), ("table", Text + 0x2000), ("alias", Text + 0x2000));
        GuestModules modules = fake.Read();

        Assert.Equal("start+0x28 [net]", Place(0x38));
        Assert.Equal("stop+0x0 [net]", Place(0x100));
        Assert.Equal("stop+0xeff [net]", Place(0xfff));
        Assert.Equal("table+0x8 [net]", Place(0x2008));
        Assert.Equal((null, 0x8UL), (modules.Find(new(Text + 8))!.Symbol, modules.Find(new(Text + 8))!.SectionOffset));
        Assert.Null(modules.Find(new(Text - 1)));
        Assert.Null(modules.Find(new(Text + 0x1000)));
        Assert.Equal(ModuleSection.Data, modules.SectionAt(new(Text + 0x2fff)));
        Assert.Null(modules.SectionAt(new(Text + 0x3000)));

        string Place(ulong offset) => modules.Find(new VirtualAddress(Text + offset))!.ToString();
    }

    [Fact]
    public void A_list_that_runs_in_a_circle_ends_and_is_marked()
    {
        var fake = new FakeModules(before64: false);
        ulong first = fake.Add("first", (ModuleSection.Text, Text, 0x1000));
        ulong second = fake.Add("second", (ModuleSection.Text, Text + 0x1000, 0x1000));
        fake.Word(first + 8, second + 8);
        GuestModules modules = fake.Read();
        Assert.Equal(["first", "second"], modules.InLoadOrder.Select(module => module.Name));
        Assert.NotNull(modules.Problem);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(0xffff888000000000UL)]
    [InlineData(0xfffffffffffffff0UL)]
    public void A_list_that_leads_out_of_memory_keeps_what_was_read(ulong next)
    {
        var fake = new FakeModules(before64: true);
        ulong first = fake.Add("first", Text, [0x1000, 0x1000, 0x1000, 0x1000], 0, [0, 0, 0, 0]);
        fake.Word(first + 8, next);
        GuestModules modules = fake.Read();
        Assert.Equal("first", Assert.Single(modules.InLoadOrder).Name);
        Assert.NotNull(modules.Problem);
    }

    [Theory]
    [InlineData(0xfffffffffffff000UL, 0x2000u)]
    [InlineData(0x1000UL, 0x1000u)]
    [InlineData(FakeModules.Base, 0x80000000u)]
    public void An_area_that_cannot_be_is_left_out_and_marked(ulong address, uint size)
    {
        var fake = new FakeModules(before64: false);
        fake.Add("evil", (ModuleSection.Text, address, size), (ModuleSection.Data, Text, 0x1000));
        GuestModules modules = fake.Read();
        Assert.Equal(ModuleSection.Data, Assert.Single(modules.InLoadOrder[0].Areas).Section);
        Assert.Contains("evil", modules.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_are_made_printable_and_cut_at_their_field()
    {
        var fake = new FakeModules(before64: false);
        fake.Add("a\u001b[2J\u00ff" + new string('x', 80), (ModuleSection.Text, Text, 0x1000));
        string name = Assert.Single(fake.Read().InLoadOrder).Name;
        Assert.Equal("a?[2J?" + new string('x', 50), name);
    }

    [Fact]
    public void Random_damage_gives_a_bounded_answer_never_a_crash()
    {
        for (int seed = 0; seed < 2000; seed++)
        {
            var random = new Random(seed);
            var fake = new FakeModules(before64: seed % 2 == 0);
            for (int i = 0; i < 4; i++)
            {
                ulong module = seed % 2 == 0
                    ? fake.Add("m", Text, [0x4000, 0x1000, 0x2000, 0x3000], 0, [0, 0, 0, 0])
                    : fake.Add("m", (ModuleSection.Text, Text, 0x1000), (ModuleSection.Data, Text + 0x1000, 0x3000));
                fake.AddSymbols(module, ("s", Text), ("t", Text + 0x80));
            }

            for (int change = 0; change < 6; change++)
            {
                ulong at = FakeModules.Base + ((ulong)random.Next(0, 0x2000) * 8);
                fake.Word(at, random.Next(3) switch { 0 => (ulong)random.NextInt64(), 1 => FakeModules.Base + (ulong)random.Next(0, 1 << 20), _ => ulong.MaxValue });
            }

            GuestModules modules = fake.Read();
            Assert.InRange(modules.InLoadOrder.Length, 0, GuestModules.MaxModules);
            foreach (ModuleArea area in modules.InLoadOrder.SelectMany(module => module.Areas))
            {
                Assert.NotNull(modules.SectionAt(area.Address));
                _ = modules.Find(area.Address + (area.Size - 1));
            }
        }
    }
}
