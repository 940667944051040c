namespace KaslrMt.Sharing.Tests;

/// <summary>Measuring with the host's KSM: when it ends, what it reads, and that settings are given back.</summary>
public sealed class KsmMeasurementTests
{
    private const string Maps = """
        7f0000000000-7f0010000000 rw-p 00000000 00:00 0
        Size:             262144 kB
        Rss:              131072 kB
        Pss:               65536 kB
        VmFlags: rd wr mr mw me ac sd hg mg
        7f0010000000-7f0020000000 rw-p 00000000 00:00 0
        Size:               1024 kB
        Rss:                1024 kB
        Pss:                1024 kB
        VmFlags: rd wr mr mw me ac sd
        7f0020000000-7f0030000000 rw-p 00000000 00:00 0
        Size:                  8 kB
        Rss:                   4 kB
        Pss:                   2 kB
        VmFlags: rd wr mg
        """;

    [Fact]
    public void Mergeable_memory_is_that_of_the_marked_mappings()
    {
        MergeableMemory memory = MergeableMemory.Parse(new StringReader(Maps));
        Assert.Equal((262152L << 10, 131076L << 10, 65538L << 10), (memory.Size, memory.Resident, memory.Proportional));
    }

    [Fact]
    public void A_process_that_is_gone_holds_nothing() => Assert.Equal(default, MergeableMemory.Read(int.MaxValue));

    [Fact]
    public void A_threads_time_is_read_whatever_its_name() =>
        Assert.Equal(TimeSpan.FromSeconds(3.5), KsmTimes.Parse("27 (ks) md (x) S 2 0 0 0 -1 2129984 0 0 0 0 150 200 0 0 25 5 1 0 60 0 0"));

    [Theory]
    [InlineData("")]
    [InlineData("27 (ksmd) S 2 0")]
    [InlineData("27 (ksmd) S 2 0 0 0 -1 2129984 0 0 0 0 x 200 0")]
    public void A_line_that_is_none_gives_no_time(string stat) => Assert.Null(KsmTimes.Parse(stat));

    [Fact]
    public async Task It_ends_once_two_scans_in_a_row_save_no_more_and_gives_everything_back()
    {
        using var fake = new FakeKsm();
        KsmMeasurement measured;
        using (KsmSettingsLease loan = KsmSettingsLease.Take(fake.Folder, fake.Note))
        {
            // A scan now and then, by hand: growing, growing, then within a thousandth.
            int scan = 0;
            int[] sharing = [100_000, 150_000, 150_100, 150_110];
            Task<KsmMeasurement> running = KsmMeasurement.RunAsync(fake.Folder, loan, [Environment.ProcessId], counters => counters.Sharing, TimeSpan.FromMinutes(1), (_, _) => Next(), default);
            while (fake.Folder.Word("run") != "1")
            {
                await Task.Delay(10);
            }

            Next();
            measured = await running;

            void Next()
            {
                if (scan < sharing.Length)
                {
                    fake.Write("pages_sharing", $"{sharing[scan]}");
                    fake.Write("full_scans", $"{4 + scan++}");
                }
            }
        }

        Assert.True(measured.Settled);
        Assert.Equal((150_110, 4), (measured.Counters.Sharing, measured.Scans));
        Assert.Equal("0", fake.Folder.Word("run"));
        Assert.Equal("1", fake.Folder.Word("smart_scan"));
        Assert.Equal("100", fake.Folder.Word("pages_to_scan"));
    }

    [Fact]
    public async Task One_that_does_not_settle_ends_with_its_time()
    {
        using var fake = new FakeKsm();
        using KsmSettingsLease loan = KsmSettingsLease.Take(fake.Folder, fake.Note);
        KsmMeasurement measured = await KsmMeasurement.RunAsync(fake.Folder, loan, [], TimeSpan.FromMilliseconds(300), null, default);
        Assert.False(measured.Settled);
        Assert.Equal("0", fake.Folder.Word("run"));
    }
}
