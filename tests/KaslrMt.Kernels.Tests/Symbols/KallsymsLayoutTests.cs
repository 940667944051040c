namespace KaslrMt.Kernels.Tests.Symbols;

/// <summary>Made-up tables of every layout are read back as they were written.</summary>
public sealed class KallsymsLayoutTests
{
    private const int Seeds = 12;

    public static TheoryData<string> Layouts => SyntheticLayout.Names;

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Every_layout_is_recognized_and_all_symbols_come_back(string kernels)
    {
        SyntheticLayout layout = SyntheticLayout.Of(kernels);
        for (int seed = 0; seed < Seeds; seed++)
        {
            SyntheticKallsyms kernel = new(layout, seed, 800 + (seed * 37));
            Kallsyms tables = kernel.Read();

            Assert.Equal((seed, layout.Order, layout.Addressing), (seed, tables.Layout.Order, tables.Layout.Addressing));
            Assert.Equal(layout.Sequences, tables.Layout.SequencesOfNames is not null);
            Assert.Equal(layout.Addressing != KallsymsAddressing.PlaceRelative, tables.Layout.RelativeBase is not null);
            Assert.Equal(kernel.Symbols, AllOf(tables));
            for (int i = 0; i < tables.Count; i += 7)
            {
                Assert.Equal(kernel.Symbols[i], tables[i]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void A_copy_says_the_same_after_the_memory_is_gone(string kernels)
    {
        SyntheticKallsyms kernel = new(SyntheticLayout.Of(kernels), seed: 1);
        Kallsyms copy = Kallsyms.Copy(kernel.Memory, new VirtualAddress(SyntheticKallsyms.Base));
        Kallsyms inPlace = kernel.Read();
        Assert.Equal(inPlace.Layout, copy.Layout);

        kernel.Memory.AsSpan().Clear();

        Assert.Equal(kernel.Symbols, AllOf(copy));
        Assert.Equal(kernel.Symbols[700].Address, copy.Find(kernel.Symbols[700].Address)!.Symbol.Address);
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Every_name_resolves_to_its_lowest_address(string kernels)
    {
        for (int seed = 0; seed < Seeds; seed++)
        {
            SyntheticKallsyms kernel = new(SyntheticLayout.Of(kernels), seed);
            Kallsyms tables = kernel.Read();
            Random random = new(seed);
            string[] names = [.. kernel.Symbols.Where(_ => random.Next(1 + (seed * 5)) == 0).Select(symbol => symbol.Name)];
            ILookup<string, KallsymsSymbol> symbols = kernel.Symbols.ToLookup(symbol => symbol.Name);
            VirtualAddress[] expected = [.. names.Select(name => symbols[name].First().Address)];

            Assert.Equal(expected, tables.Resolve(names));
            foreach (string name in names.Take(20))
            {
                Assert.Equal(symbols[name], tables.All(name));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Every_address_finds_the_symbol_below_it(string kernels)
    {
        SyntheticKallsyms kernel = new(SyntheticLayout.Of(kernels), seed: 5);
        Kallsyms tables = kernel.Read();
        KallsymsSymbol[][] places = [.. kernel.Symbols.Where(symbol => symbol.Type != 'A')
            .GroupBy(symbol => symbol.Address, (_, aliases) => aliases.ToArray())];
        for (int i = 0; i < places.Length - 1; i++)
        {
            ulong start = places[i][0].Address.Value;
            ulong size = places[i + 1][0].Address.Value - start;
            ulong[] offsets = [0, size / 2, size - 1];
            foreach (ulong offset in offsets)
            {
                KallsymsLocation? place = tables.Find(new VirtualAddress(start + offset));

                Assert.NotNull(place);
                Assert.Equal(places[i][0], place.Symbol);
                Assert.Equal(places[i][1..], place.Aliases);
                Assert.Equal((offset, size), (place.Offset, place.Size));
            }
        }

        ulong last = kernel.Symbols[^1].Address.Value;
        Assert.Equal((0UL, null), tables.Find(new VirtualAddress(last)) is { } end ? (end.Offset, end.Size) : default((ulong, ulong?)?));
        Assert.Null(tables.Find(new VirtualAddress(last + 1)));
        Assert.Null(tables.Find(new VirtualAddress(SyntheticKallsyms.Base - 1)));
    }

    private static List<KallsymsSymbol> AllOf(Kallsyms tables)
    {
        List<KallsymsSymbol> all = [];
        foreach (KallsymsEntry entry in tables)
        {
            all.Add(entry.ToSymbol());
        }

        return all;
    }
}
