namespace KaslrMt.Guests.Tests;

public sealed class LayoutObserverTests
{
    private const ulong LinkBase = 0xffffffff81000000;
    private const ulong VmallocVariable = LinkBase + 0x2000;
    private const ulong ModuleVariable = LinkBase + 0x2008;
    private const ulong ModulePointer = LinkBase + 0x2010;

    private const ulong Text = 0xffffffff9d000000;
    private const ulong Physmap = 0xffff9a5540000000;
    private const ulong Vmalloc = 0xffffb12380000000;
    private const ulong Vmemmap = 0xfffff1abc0000000;
    private const int TextAt = 0x200000;

    [Fact]
    public void Six_bases_are_read_from_tables_and_variables_without_knowing_them()
    {
        using FakeMemory memory = Guest();
        ObservedLayout seen = LayoutObserver.Read(memory, FakeMemory.Root | 0x18, Symbols(before610: false));

        Assert.Equal(TextAt, (int)seen.KernelPhysical.Value);
        Assert.Equal(Text, seen.KernelVirtual.Value);
        Assert.Equal(Physmap, seen.Physmap.Value);
        Assert.Equal(Vmalloc, seen.Vmalloc.Value);
        Assert.Equal(Vmemmap, seen.Vmemmap.Value);
        Assert.Equal(0xffffffffc030a000, seen.Modules!.Value.Value);
    }

    [Fact]
    public void A_processor_in_user_mode_under_page_table_isolation_shows_the_same_kernel()
    {
        using FakeMemory memory = Guest(root: 0x6000);

        // User mode's tables: the entry code alone, one page above the kernel's.
        memory.Map(Text + 0xe00000, 0x300000, level: 1, root: 0x7000);
        ObservedLayout seen = LayoutObserver.Read(memory, 0x7000 | 0x801, Symbols(before610: false));
        Assert.Equal(Text, seen.KernelVirtual.Value);
        Assert.Equal(Physmap, seen.Physmap.Value);
    }

    [Fact]
    public void Before_6_10_the_module_base_is_unknown_until_the_kernel_has_drawn_it()
    {
        using FakeMemory memory = Guest();
        Assert.Null(LayoutObserver.Read(memory, FakeMemory.Root, Symbols(before610: true) with { ModuleLoadOffset = new(LinkBase + 0x2020) }).Modules);

        memory.WriteWord(TextAt + 0x2020, 0x30a000);
        ObservedLayout seen = LayoutObserver.Read(memory, FakeMemory.Root, Symbols(before610: true) with { ModuleLoadOffset = new(LinkBase + 0x2020) });
        Assert.Equal(0xffffffffc030a000, seen.Modules!.Value.Value);
    }

    [Fact]
    public void A_physmap_whose_first_mapping_is_not_page_0_is_still_found()
    {
        using var memory = new FakeMemory(1 << 22);
        Fill(memory);
        memory.Map(Physmap + 0x1000, 0x1000);
        Assert.Equal(Physmap, LayoutObserver.Read(memory, FakeMemory.Root, Symbols(before610: false)).Physmap.Value);
    }

    [Theory]
    [InlineData(0xffffffffffffffff)]
    [InlineData(0x0000000000000000)]
    [InlineData(0xfffffdffffffffff)]
    [InlineData(0xffff888000000000)]
    public void A_hostile_vmalloc_base_is_no_kernel(ulong value)
    {
        using FakeMemory memory = Guest();
        memory.WriteWord(TextAt + 0x2000, value);
        Assert.Equal(GuestErrors.NoKernel, Refused(memory));
    }

    [Fact]
    public void A_guest_that_has_not_come_far_enough_is_no_kernel_yet()
    {
        using var empty = new FakeMemory(1 << 22);
        Assert.Equal(GuestErrors.NoKernel, Refused(empty));

        using var early = new FakeMemory(1 << 22);
        early.Map(Text, TextAt, level: 1);
        Assert.Equal(GuestErrors.NoKernel, Refused(early));
    }

    [Fact]
    public void A_text_mapping_that_points_outside_ram_is_no_kernel()
    {
        using var memory = new FakeMemory(1 << 22);
        memory.Map(Text, 0x7f00000000, level: 1);
        memory.Map(Physmap, 0, level: 1);
        Assert.Equal(GuestErrors.NoKernel, Refused(memory));
    }

    [Fact]
    public void What_is_observed_is_not_shown_by_accident()
    {
        using FakeMemory memory = Guest();
        ObservedLayout seen = LayoutObserver.Read(memory, FakeMemory.Root, Symbols(before610: false));
        Assert.DoesNotContain("ffff", $"{seen}", StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void Random_memory_gives_an_error_or_a_layout_never_a_crash()
    {
        for (int seed = 0; seed < 500; seed++)
        {
            using FakeMemory memory = Guest();
            var random = new Random(seed);
            for (int change = 0; change < 20; change++)
            {
                memory.WriteWord((ulong)random.Next(0x200, 0x5000) * 8, unchecked((ulong)random.NextInt64()) | (random.Next(2) == 0 ? 0UL : 1UL));
            }

            try
            {
                LayoutObserver.Read(memory, FakeMemory.Root, Symbols(before610: false));
            }
            catch (KaslrMtException error)
            {
                Assert.True(
                    error.Code == GuestErrors.NoKernel || error.Code == GuestErrors.HostileTables,
                    $"seed {seed}: {error.Code}");
            }
        }
    }

    private static ErrorCode Refused(FakeMemory memory) =>
        Assert.Throws<KaslrMtException>(() => LayoutObserver.Read(memory, FakeMemory.Root, Symbols(before610: false))).Code;

    private static FakeMemory Guest(ulong root = FakeMemory.Root)
    {
        var memory = new FakeMemory(1 << 22);
        Fill(memory, root);
        memory.Map(Physmap, 0, level: 1, root: root);
        return memory;
    }

    private static void Fill(FakeMemory memory, ulong root = FakeMemory.Root)
    {
        memory.Map(Text, TextAt, level: 1, root: root);
        memory.Map(Vmalloc + 0x5000, 0x9000, root: root);
        memory.Map(Vmemmap, 0, level: 1, root: root);
        memory.WriteWord(TextAt + 0x2000, Vmalloc);
        memory.WriteWord(TextAt + 0x2008, 0xffffffffc030a000);
        memory.WriteWord(TextAt + 0x2010, Text + 0x2008);
    }

    private static ObservationSymbols Symbols(bool before610) => new(
        new VirtualAddress(LinkBase),
        new VirtualAddress(VmallocVariable),
        before610 ? [] : [new VirtualAddress(ModulePointer), new VirtualAddress(ModuleVariable)],
        null);
}
