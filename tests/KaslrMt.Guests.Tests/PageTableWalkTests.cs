namespace KaslrMt.Guests.Tests;

public sealed class PageTableWalkTests
{
    private static readonly VirtualAddress KernelAddressSpace = new(0xffff800000000000);
    private static readonly VirtualAddress Last = new(ulong.MaxValue);

    [Fact]
    public void Pages_of_all_three_sizes_come_out_in_ascending_order_with_target_and_flags()
    {
        using var memory = new FakeMemory(1 << 20);
        memory.Map(0xffffffff81000000, 0x1000000, level: 1, flags: 0x161);
        memory.Map(0xffff888000000000, 0, level: 2);
        memory.Map(0xffffc90000001000, 0x5000, flags: 0x8000000000000003);

        Mapping[] leaves = [.. new PageTableWalk(memory, new PhysicalAddress(FakeMemory.Root)).Leaves(KernelAddressSpace, Last)];

        Assert.Equal([0xffff888000000000, 0xffffc90000001000, 0xffffffff81000000], leaves.Select(leaf => leaf.Address.Value));
        Assert.Equal([0UL, 0x5000UL, 0x1000000UL], leaves.Select(leaf => leaf.Target.Value));
        Assert.Equal([1UL << 30, 4096UL, 2UL << 20], leaves.Select(leaf => leaf.Size));
        Assert.Equal(0x8000000000000003, leaves[1].Flags);
    }

    [Fact]
    public void A_range_gives_what_it_touches_and_nothing_else()
    {
        using var memory = new FakeMemory(1 << 20);
        memory.Map(0xffffffff80e00000, 0x200000, level: 1);
        memory.Map(0xffffffff81000000, 0x400000, level: 1);
        memory.Map(0xffffffff81200000, 0x600000, level: 1);
        var walk = new PageTableWalk(memory, new PhysicalAddress(FakeMemory.Root));

        Assert.Equal([0x400000UL], walk.Leaves(new(0xffffffff81000000), new(0xffffffff811fffff)).Select(leaf => leaf.Target.Value));
        Assert.Equal([0x200000UL, 0x400000UL], walk.Leaves(new(0xffffffff80ffffff), new(0xffffffff81000000)).Select(leaf => leaf.Target.Value));
    }

    [Fact]
    public void Tables_outside_ram_are_passed_over()
    {
        using var memory = new FakeMemory(1 << 20);
        memory.Map(0xffffffff81000000, 0x1000000, level: 1);
        memory.WriteWord(FakeMemory.Root + (300 * 8), 0x7ffffff000 | 0x3);

        Mapping only = Assert.Single(new PageTableWalk(memory, new PhysicalAddress(FakeMemory.Root)).Leaves(KernelAddressSpace, Last));
        Assert.Equal(0xffffffff81000000, only.Address.Value);
    }

    [Fact]
    public void A_root_outside_ram_holds_nothing()
    {
        using var memory = new FakeMemory(1 << 16);
        Assert.Empty(new PageTableWalk(memory, new PhysicalAddress(1UL << 40)).Leaves(KernelAddressSpace, Last));
    }

    [Fact]
    public void A_table_that_points_to_itself_ends_in_a_numbered_error_after_bounded_work()
    {
        using var memory = new FakeMemory(1 << 16);
        for (int entry = 256; entry < 512; entry++)
        {
            memory.WriteWord(FakeMemory.Root + ((ulong)entry * 8), FakeMemory.Root | 0x3);
        }

        var walk = new PageTableWalk(memory, new PhysicalAddress(FakeMemory.Root));
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => walk.Leaves(KernelAddressSpace, Last).Count(leaf => leaf.Size != 4096));
        Assert.Equal(GuestErrors.HostileTables, error.Code);
        Assert.InRange(memory.Reads, 1, (1 << 17) + 1);
    }
}
