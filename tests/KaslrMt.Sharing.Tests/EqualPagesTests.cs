using FsCheck;
using FsCheck.Fluent;
using KaslrMt.Guests;

namespace KaslrMt.Sharing.Tests;

/// <summary>Pages are grouped by what they hold, and counted by class and tenant as a plain count by hand would.</summary>
public sealed class EqualPagesTests
{
    private const int PageSize = 4096;

    [Fact]
    public void Pages_that_repeat_are_counted_within_and_across_tenants()
    {
        // Content 1 in all guests, 2 in both of a, 3 in one of a and in b, 0 are zeros.
        SharingTable table = Count(Guest("a", [1, 2, 3, 0]), Guest("a", [1, 2, 4, 0]), Guest("b", [1, 3, 5, 6]));
        Assert.Equal((12, 2, 7, 5), (table.All.Pages, table.All.Zero, table.All.Distinct, table.All.Redundant));
        Assert.Equal((3, 2), (table.All.WithinTenants, table.All.AcrossTenants));
        Assert.Equal(3, table.All.Unique);
        Assert.Equal(table.All, table.Kernel);
        Assert.Equal(table.All, table[PageClass.KernelCode]);
        Assert.Equal(0, table[PageClass.Slab].Pages);
        Assert.Equal(0, table.Changed);
    }

    [Fact]
    public void A_guest_without_a_tenant_is_a_tenant_of_its_own()
    {
        SharingTable table = Count(Guest(null, [1]), Guest(null, [1]));
        Assert.Equal((0, 1), (table.All.WithinTenants, table.All.AcrossTenants));
    }

    [Fact]
    public void Classes_are_counted_apart_and_together()
    {
        GuestPages guest = Guest("a", [1, 1, 1], [PageClass.KernelCode, PageClass.KernelData, PageClass.User]);
        SharingTable table = EqualPages.Group([guest], compareBytes: true, default).Count();
        Assert.Equal((1, 0), (table[PageClass.KernelCode].Pages, table[PageClass.KernelCode].Redundant));
        Assert.Equal((2, 1), (table.Kernel.Pages, table.Kernel.Redundant));
        Assert.Equal((3, 2), (table.All.Pages, table.All.Redundant));
    }

    [Fact]
    public void Pages_that_changed_after_they_were_read_are_no_longer_equal()
    {
        byte[] ram = Ram([1, 2, 3]);
        GuestPages changing = new("a", "t", "", new ArrayMemory(ram), [.. Enumerable.Repeat(PageClass.User, 3)], Fingerprints(ram));
        ram[PageSize + 100] ^= 1;
        SharingTable table = Count(Guest("t", [1, 2, 3]), changing);
        Assert.Equal((1, 2), (table.Changed, table.All.Redundant));
        Assert.Equal(2, EqualPages.Group([Guest("t", [1, 2, 3])], compareBytes: false, default).Count().All.Pages - 1);
    }

    [Fact]
    public void A_guest_that_goes_away_while_pages_are_compared_is_that_error_and_no_other()
    {
        byte[] ram = Ram([1, 2]);
        GuestPages gone = new("a", null, "", new ArrayMemory(ram) { Gone = true }, [PageClass.User, PageClass.User], Fingerprints(ram));
        Assert.Equal(GuestErrors.GuestGone, Assert.Throws<KaslrMtException>(() => Count(Guest("t", [1, 2]), gone)).Code);
    }

    [Fact]
    public void A_forged_fingerprint_does_not_make_pages_equal()
    {
        byte[] ram = Ram([1, 2]);
        PageFingerprint[] forged = Fingerprints(Ram([1, 1]));
        GuestPages guest = new("a", null, "", new ArrayMemory(ram), [PageClass.User, PageClass.User], forged);
        Assert.Equal((1, 0), (Count(guest).Changed, Count(guest).All.Redundant));
        Assert.Equal(1, EqualPages.Group([guest], compareBytes: false, default).Count().All.Redundant);
    }

    [Fact]
    public void Fingerprints_that_agree_in_their_low_half_alone_are_different()
    {
        byte[] ram = Ram([1, 2, 3]);
        PageFingerprint[] half = [new(7, 1), new(7, 2), new(7, 1)];
        GuestPages guest = new("a", null, "", new ArrayMemory(ram), [.. Enumerable.Repeat(PageClass.User, 3)], half);
        Assert.Equal(2, EqualPages.Group([guest], compareBytes: false, default).Count().All.Distinct);
    }

    [Fact]
    public void No_guest_and_an_empty_one_are_counted_as_nothing()
    {
        Assert.Equal(0, Count().All.Pages);
        Assert.Equal(1, Count(Guest("a", []), Guest("a", [9])).All.Distinct);
    }

    [Fact]
    public void Any_guests_are_counted_as_a_plain_dictionary_counts_them()
    {
        var pages = Gen.Choose(0, 6).Select(content => (byte)content).ListOf().Select(list => list.ToArray());
        var tenants = Gen.Elements("a", "b", "c");
        var guests = tenants.Zip(pages).ListOf();
        Prop.ForAll(guests.ToArbitrary(), drawn =>
        {
            (string Tenant, byte[] Pages)[] all = [.. drawn.Select(guest => (guest.Item1, guest.Item2)).Take(8)];
            SharingTable table = Count([.. all.Select(guest => Guest(guest.Tenant, guest.Pages))]);
            var byContent = all.SelectMany(guest => guest.Pages.Select(content => (content, guest.Tenant))).GroupBy(page => page.content).ToArray();
            return table.All.Pages == all.Sum(guest => guest.Pages.Length)
                && table.All.Distinct == byContent.Length
                && table.All.AcrossTenants == byContent.Sum(group => group.Select(page => page.Tenant).Distinct().Count() - 1)
                && table.All.WithinTenants == table.All.Redundant - table.All.AcrossTenants
                && table.All.Unique == all.SelectMany((guest, number) => guest.Pages.Select(content => (content, number))).GroupBy(page => page.content)
                    .Where(group => group.Select(page => page.number).Distinct().Count() == 1).Sum(group => group.Count())
                && table.All.Zero == all.Sum(guest => guest.Pages.Count(content => content == 0));
        }).QuickCheckThrowOnFailure();
    }

    private static SharingTable Count(params GuestPages[] guests) => EqualPages.Group(guests, compareBytes: true, default).Count();

    private static GuestPages Guest(string? tenant, byte[] contents, PageClass[]? classes = null)
    {
        byte[] ram = Ram(contents);
        return new GuestPages("guest", tenant, "", new ArrayMemory(ram), classes ?? [.. contents.Select(_ => PageClass.KernelCode)], Fingerprints(ram));
    }

    private static byte[] Ram(byte[] contents)
    {
        var ram = new byte[contents.Length * PageSize];
        for (int i = 0; i < contents.Length; i++)
        {
            ram.AsSpan(i * PageSize, PageSize).Fill(contents[i]);
        }

        return ram;
    }

    private static PageFingerprint[] Fingerprints(byte[] ram) => [.. ram.Chunk(PageSize).Select(page => PageFingerprint.Of(page))];
}
