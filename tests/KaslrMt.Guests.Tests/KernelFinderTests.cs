namespace KaslrMt.Guests.Tests;

/// <summary>Memory in which there is no kernel to be found, however much it looks so: a numbered error after bounded work.</summary>
public sealed class KernelFinderTests
{
    private const int Size = 10_000_000 / 4096 * 4096;

    // Words of tables that present, in-RAM entries lead through: each page is at most a candidate once.
    private const int MostReads = 1 << 20;

    [Fact]
    public void Random_bytes_hold_no_kernel()
    {
        for (int seed = 0; seed < 3; seed++)
        {
            using var memory = new FakeMemory(Size);
            new Random(seed).NextBytes(memory.Ram);
            Assert.Equal(GuestErrors.NoKernel, Refused(memory));
        }
    }

    [Fact]
    public void Pages_of_pointers_into_ram_hold_no_kernel()
    {
        // Every word is a table entry that is present and leads to some page of the same memory.
        foreach (ulong flags in (ulong[])[0x3, 0x63, 0x67, 0x83])
        {
            using var memory = new FakeMemory(Size);
            var random = new Random(7);
            for (ulong at = 0; at < Size; at += 8)
            {
                memory.WriteWord(at, ((ulong)random.Next(Size / 4096) * 4096) | flags);
            }

            ErrorCode code = Refused(memory);
            Assert.True(code == GuestErrors.NoKernel || code == GuestErrors.HostileTables, $"flags {flags:x}: {code}");
            Assert.InRange(memory.Reads, 1, MostReads);
        }
    }

    [Fact]
    public void Tables_that_lead_to_themselves_hold_no_kernel()
    {
        using var memory = new FakeMemory(Size);
        for (ulong page = 0; page < Size; page += 4096)
        {
            for (ulong entry = 0; entry < 512; entry++)
            {
                memory.WriteWord(page + (entry * 8), page | 0x63);
            }
        }

        Assert.Equal(GuestErrors.NoKernel, Refused(memory));
        Assert.InRange(memory.Reads, 1, MostReads);
    }

    [Fact]
    public void A_hint_that_is_wrong_leads_to_no_kernel_either()
    {
        using var memory = new FakeMemory(Size);
        new Random(1).NextBytes(memory.Ram);
        foreach (ulong cr3 in (ulong[])[0, 0x1000, 0x5000, (Size - 4096) | 0xfff, ulong.MaxValue, 1UL << 51])
        {
            var hints = new KernelHints(new PhysicalAddress(cr3), true);
            Assert.Equal(GuestErrors.NoKernel, Assert.Throws<KaslrMtException>(() => GuestKernel.Find(memory, hints)).Code);
        }
    }

    [Fact]
    public void A_text_without_symbols_is_no_kernel()
    {
        using var memory = new FakeMemory(Size);
        for (ulong page = 0; page < 2; page++)
        {
            memory.Map(0xffffffff81000000 + (page << 21), 0x200000 + (page << 21), level: 1);
        }

        KaslrMtException error = Assert.Throws<KaslrMtException>(() => GuestKernel.Find(memory));
        Assert.Equal(GuestErrors.NoKernel, error.Code);
        Assert.Contains("no symbol table", error.Problem, StringComparison.Ordinal);
    }

    private static ErrorCode Refused(FakeMemory memory) => Assert.Throws<KaslrMtException>(() => GuestKernel.Find(memory)).Code;
}
