namespace KaslrMt.Guests.Tests;

public sealed class ModuleComparisonTests
{
    [Fact]
    public void Modules_of_both_are_set_beside_one_another_in_the_first_guests_order()
    {
        ModuleComparison found = ModuleComparison.Of(Guest("a:1", "b:2", "c:3", "only1:4"), Guest("a:1", "c:2", "only2:9", "b:3"));
        Assert.Equal(["a", "b", "c", "only1", "only2"], found.Rows.Select(row => row.Name));
        Assert.Equal([0, 1, 2, 3, null], found.Rows.Select(row => row.First?.Index));
        Assert.Equal([0, 3, 1, null, 2], found.Rows.Select(row => row.Second?.Index));
        Assert.Equal([true, false, false, false, false], found.Rows.Select(row => row.HasSameAddress));
        Assert.Equal((3, 1, "b"), (found.Common, found.SameAddress, found.FirstDifference));
    }

    [Fact]
    public void Modules_that_only_one_guest_has_do_not_make_the_order_differ()
    {
        ModuleComparison found = ModuleComparison.Of(Guest("x:9", "a:1", "b:2"), Guest("a:1", "y:8", "b:2"));
        Assert.Equal((2, 2, null), (found.Common, found.SameAddress, found.FirstDifference));
    }

    [Fact]
    public void Guests_without_modules_have_none_in_common()
    {
        ModuleComparison found = ModuleComparison.Of(Guest(), Guest("a:1"));
        Assert.Equal((0, 0, null, 1), (found.Common, found.SameAddress, found.FirstDifference, found.Rows.Length));
    }

    [Fact]
    public void A_name_that_a_hostile_list_holds_twice_counts_once()
    {
        ModuleComparison found = ModuleComparison.Of(Guest("a:1", "a:2"), Guest("a:1", "a:3"));
        Assert.Equal((1, 1, null), (found.Common, found.SameAddress, found.FirstDifference));
    }

    private static GuestModules Guest(params string[] modules)
    {
        var fake = new FakeModules(before64: false);
        foreach (string[] module in modules.Select(text => text.Split(':')))
        {
            fake.Add(module[0], (ModuleSection.Text, FakeModules.Base + 0x40000 + (0x1000UL * (ulong)(module[1][0] - '0')), 0x1000));
        }

        return fake.Read();
    }
}
