namespace KaslrMt.Guests.Tests.Audit;

/// <summary>Permissions are those of all levels together; hostile tables end.</summary>
public sealed class KernelPagesTests : IDisposable
{
    private const ulong Present = 1;
    private const ulong Writable = 2;
    private const ulong User = 4;
    private const ulong Large = 0x80;
    private const ulong NotExecutable = 1UL << 63;
    private const ulong Top = 0x1000;
    private const ulong Third = 0x2000;
    private const ulong Second = 0x3000;
    private const ulong First = 0x4000;

    private readonly FakeMemory _memory = new(1 << 20);

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(Writable, Writable, Writable, Writable, true, true, false)]
    [InlineData(Writable, Writable, Writable, Writable | NotExecutable, false, false, false)]
    [InlineData(Writable, Writable | NotExecutable, Writable, Writable, false, false, false)]
    [InlineData(Writable, 0, Writable, Writable, false, false, false)]
    [InlineData(User, User, User, User, true, false, true)]
    [InlineData(User, User, 0, User, false, false, false)]
    [InlineData(Writable | User, Writable | User, Writable | User, Writable | User | NotExecutable, true, true, true)]
    public void A_page_has_the_rights_that_every_level_gives(ulong top, ulong third, ulong second, ulong first, bool unusual, bool writable, bool user)
    {
        Build(top, third, second, first);
        List<KernelPages> pages = KernelPages.Unusual(new PageTableWalk(_memory, new PhysicalAddress(Top)), _memory);
        Assert.Equal(unusual ? 1 : 0, pages.Count);
        Assert.All(pages, page => Assert.Equal((0xffff888000005000, 0x7000UL, 4096UL, writable, user), (page.Address.Value, page.Target.Value, page.Length, page.IsWritable, page.IsUser)));
    }

    [Fact]
    public void Neighbours_with_the_same_rights_are_one_run_and_the_users_half_is_not_looked_at()
    {
        Build(Writable, Writable, Writable, Writable);
        _memory.WriteWord(First + (6 * 8), 0x8000 | Present | Writable);
        _memory.WriteWord(First + (7 * 8), 0x9000 | Present | Writable | NotExecutable);
        _memory.WriteWord(First + (9 * 8), 0xa000 | Present | Writable);
        _memory.WriteWord(Top, Third | Present | Writable | User);
        List<KernelPages> pages = KernelPages.Unusual(new PageTableWalk(_memory, new PhysicalAddress(Top)), _memory);
        Assert.Equal([(0xffff888000005000, 0x2000UL), (0xffff888000009000, 0x1000UL)], pages.Select(page => (page.Address.Value, page.Length)));
    }

    [Fact]
    public void Tables_that_lead_to_themselves_end_with_an_error()
    {
        for (ulong entry = 0; entry < 512; entry++)
        {
            _memory.WriteWord(Top + (entry * 8), Top | Present | Writable | User);
        }

        KaslrMtException error = Assert.Throws<KaslrMtException>(() => KernelPages.Unusual(new PageTableWalk(_memory, new PhysicalAddress(Top)), _memory));
        Assert.Equal(GuestErrors.HostileTables, error.Code);
    }

    [Fact]
    public void Random_tables_give_pages_or_an_error_and_nothing_else()
    {
        Random random = new(5);
        for (int i = 0; i < 2000; i++)
        {
            _memory.Ram[(int)Top..(int)(First + 4096)].Clear();
            Build(Writable | User, Writable | User, Writable | User, Writable | User);
            for (int j = 0; j < 8; j++)
            {
                ulong place = (Top + (ulong)random.Next(4 * 4096)) & ~7UL;
                place = random.Next(2) == 0 ? place & ~0xff8UL : place;
                _memory.WriteWord(place == Top ? Top + 0x888 : place, random.Next(3) == 0 ? (ulong)random.NextInt64() : ((ulong)random.Next(1, 8) << 12) | (uint)random.Next(0x100));
            }

            try
            {
                Assert.All(KernelPages.Unusual(new PageTableWalk(_memory, new PhysicalAddress(Top)), _memory), pages => Assert.True(pages.IsUser || (pages.IsWritable && pages.IsExecutable)));
            }
            catch (KaslrMtException error)
            {
                Assert.Equal(GuestErrors.HostileTables, error.Code);
            }
        }
    }

    private void Build(ulong top, ulong third, ulong second, ulong first)
    {
        _memory.WriteWord(Top + (0x111 * 8), Third | Present | top);
        _memory.WriteWord(Third, Second | Present | third);
        _memory.WriteWord(Second, First | Present | second);
        _memory.WriteWord(First + (5 * 8), 0x7000 | Present | first);
        _memory.WriteWord(Second + (8 * 8), 0x200000 | Present | Large | NotExecutable | Writable);
    }
}
