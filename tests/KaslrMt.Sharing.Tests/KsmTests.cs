namespace KaslrMt.Sharing.Tests;

/// <summary>KSM's files of old and new kernels are read, and its settings come back whatever happens.</summary>
public sealed class KsmTests : IDisposable
{
    private readonly FakeKsm _ksm = new();

    public void Dispose() => _ksm.Dispose();

    [Fact]
    public void Counters_are_read_and_what_an_old_kernel_lacks_is_null()
    {
        KsmCounters counters = KsmCounters.Read(_ksm.Folder);
        Assert.Equal((5, 40, 7, 2, 3, 10, 1000, -64), (counters.Shared, counters.Sharing, counters.Unshared, counters.Volatile, counters.FullScans, counters.ZeroPages, counters.Scanned, counters.Profit));
        Assert.Equal(50 * 4096, counters.SavedBytes);
        Assert.Equal(14, counters.Held);
        using var old = new FakeKsm(old: true);
        counters = KsmCounters.Read(old.Folder);
        Assert.Equal((null, null, null, 40 * 4096), (counters.ZeroPages, counters.Scanned, counters.Profit, counters.SavedBytes));
    }

    [Fact]
    public void A_kernel_without_KSM_and_a_file_without_a_number_are_told()
    {
        Assert.Equal(SharingErrors.KsmMissing, Assert.Throws<KaslrMtException>(() => KsmFolder.Open("/nonexistent/ksm")).Code);
        _ksm.Write("pages_shared", "many");
        Assert.Equal(SharingErrors.KsmRefused, Assert.Throws<KaslrMtException>(() => KsmCounters.Read(_ksm.Folder)).Code);
    }

    [Fact]
    public void Of_a_choice_the_chosen_word_is_read()
    {
        Assert.Equal("none", KsmSettings.Read(_ksm.Folder)[KsmSettings.AdvisorMode]);
        _ksm.Write("advisor_mode", "none [scan-time]");
        Assert.Equal("scan-time", KsmSettings.Read(_ksm.Folder)[KsmSettings.AdvisorMode]);
    }

    [Theory]
    [InlineData(200L << 20, "1024")]
    [InlineData(1, "1")]
    [InlineData(long.MaxValue, "1000000")]
    public void A_rate_becomes_pages_between_naps(long rate, string pages)
    {
        KsmSettings.AtRate(rate).ApplyTo(_ksm.Folder);
        Assert.Equal(pages, Pages());
        Assert.Equal(1, _ksm.Folder.Number(KsmSettings.Run));
    }

    [Fact]
    public void A_loan_gives_back_what_was()
    {
        using (KsmSettingsLease loan = KsmSettingsLease.Take(_ksm.Folder, _ksm.Note))
        {
            loan.Set(KsmSettings.AtRate(1 << 30));
            Assert.Equal("5242", Pages());
            Assert.Equal(SharingErrors.KsmBorrowed, Assert.Throws<KaslrMtException>(() => KsmSettingsLease.Take(_ksm.Folder, _ksm.Note)).Code);
            Assert.False(KsmSettingsLease.GiveBackLeftover(_ksm.Folder, _ksm.Note));
            Assert.Equal("5242", Pages());
        }

        Assert.Equal("100", Pages());
        Assert.Equal(0, _ksm.Folder.Number(KsmSettings.Run));
        Assert.Equal(0, new FileInfo(_ksm.Note).Length);
    }

    [Fact]
    public void What_a_killed_process_borrowed_is_given_back_by_the_next()
    {
        File.WriteAllText(_ksm.Note, "pages_to_scan 100\nsleep_millisecs 20\nrun 0\n../evil 1\nhalf");
        _ksm.Write("pages_to_scan", "9999");
        _ksm.Write("run", "1");
        Assert.True(KsmSettingsLease.GiveBackLeftover(_ksm.Folder, _ksm.Note));
        Assert.Equal("100", Pages());
        Assert.Equal(0, _ksm.Folder.Number(KsmSettings.Run));
        Assert.False(KsmSettingsLease.GiveBackLeftover(_ksm.Folder, _ksm.Note));
        Assert.False(File.Exists(Path.Combine(_ksm.Path, "evil")));
    }

    [Fact]
    public void A_note_that_has_no_place_is_not_taken_for_another_measurement()
    {
        string note = Path.Combine(_ksm.Path, "none", "note");
        Assert.Equal(SharingErrors.KsmRefused, Assert.Throws<KaslrMtException>(() => KsmSettingsLease.Take(_ksm.Folder, note)).Code);
        Assert.False(KsmSettingsLease.GiveBackLeftover(_ksm.Folder, note));
    }

    // A folder in the note's place is refused as root's note is to others, and tests run as root.
    [Fact]
    public void Who_may_not_touch_the_note_may_still_look_and_may_not_borrow()
    {
        string note = Path.Combine(_ksm.Path, "link");
        File.CreateSymbolicLink(note, "/proc/sys/kernel/ostype");
        Assert.False(KsmSettingsLease.GiveBackLeftover(_ksm.Folder, note));
        Assert.Equal(SharingErrors.KsmNotPermitted, Assert.Throws<KaslrMtException>(() => KsmSettingsLease.Take(_ksm.Folder, note)).Code);
    }

    [Fact]
    public void Both_forms_of_a_processes_lines_are_read()
    {
        const string Stat = "ksm_rmap_items 100\nksm_zero_pages 3\nksm_merging_pages 20\nksm_process_profit -5\nksm_merge_any: no\nksm_mergeable: yes\n";
        const string Maps = """
            7f0000000000-7f0020000000 rw-p 00000000 00:00 0
            Size:             524288 kB
            VmFlags: rd wr mr mw me ac sd hg mg
            7f0030000000-7f0031000000 rw-s 00000000 00:01 5 /memfd:ram
            Size:              16384 kB
            VmFlags: rd wr sh mr mw me ms sd
            7f0040000000-7f0040200000 rw-p 00000000 00:0e 7 /dev/hugepages/ram
            Size:               2048 kB
            VmFlags: rd wr mr mw me ht
            """;
        KsmProcess process = KsmProcess.Parse(Stat, new StringReader(Maps));
        Assert.Equal((20, 3, -5), (process.MergingPages, process.ZeroPages, process.Profit));
        Assert.Equal((512L << 20, 16L << 20, 2L << 20), (process.MergeableBytes, process.SharedBytes, process.HugeBytes));
        Assert.Equal(23 * 4096, process.MergedBytes);
        Assert.Null(process.Advice(512 << 20));
        KsmProcess unmarked = KsmProcess.Parse(Stat, new StringReader(Maps.Replace(" mg", "", StringComparison.Ordinal)));
        Assert.Contains("shared memory", unmarked.Advice(32 << 20), StringComparison.Ordinal);
        KsmProcess old = KsmProcess.Parse("ksm_merging_pages 7\n", new StringReader(""));
        Assert.Equal((7, null, null, 0), (old.MergingPages, old.ZeroPages, old.Profit, old.MergeableBytes));
        Assert.Contains("mem-merge=off", old.Advice(1 << 30), StringComparison.Ordinal);
    }

    [Fact]
    public void This_process_can_be_read_and_one_that_is_not_there_is_null()
    {
        Assert.NotNull(KsmProcess.Read(Environment.ProcessId));
        Assert.Null(KsmProcess.Read(int.MaxValue));
    }

    private string Pages() => _ksm.Folder.Word(KsmSettings.PagesToScan)!;
}
