namespace KaslrMt.Sharing.Tests.Experiments;

/// <summary>What a VM costs the host is taken apart and added up: guest RAM, hypervisor, files, translated code.</summary>
public sealed class HostCostTests
{
    private const string Hypervisor = """
        55d0c0000000-55d0c0100000 r-xp 00000000 08:01 100                        /usr/bin/qemu-system-x86_64
        Size:               1024 kB
        Rss:                 900 kB
        Pss:                 300 kB
        VmFlags: rd ex mr mw me
        7f0000000000-7f0010000000 rw-p 00000000 00:00 0
        Size:             262144 kB
        Rss:               65536 kB
        Pss:               20000 kB
        VmFlags: rd wr mr mw me ac mg
        7f0020000000-7f0028000000 rwxp 00000000 00:00 0
        Size:             131072 kB
        Rss:               30000 kB
        Pss:               30000 kB
        VmFlags: rd wr ex mr mw me ac
        7f0030000000-7f0032000000 r--p 00000000 00:19 77                         /dev/shm/run/vm/image (deleted)
        Size:              32768 kB
        Rss:                8192 kB
        Pss:                8192 kB
        VmFlags: rd mr mw me
        7f0032000000-7f0033000000 rw-p 02000000 00:19 77                         /dev/shm/run/vm/image (deleted)
        Size:              16384 kB
        Rss:                   0 kB
        Pss:                   0 kB
        VmFlags: rd wr mr mw me
        7f0040000000-7f0040100000 rw-p 00000000 00:00 0                          [heap]
        Size:               1024 kB
        Rss:                1000 kB
        Pss:                1000 kB
        VmFlags: rd wr mr mw me ac

        """;

    [Fact]
    public void A_process_is_taken_apart_by_what_its_mappings_are()
    {
        ProcessMemory memory = ProcessMemory.Parse(new StringReader(Hypervisor));
        Assert.Equal((20000L << 10, 30000L << 10, 1300L << 10), (memory.GuestRam, memory.TranslatedCode, memory.Own));
        Assert.Equal((32768L + 16384) << 10, Assert.Single(memory.RemovedFiles).Value);
    }

    [Fact]
    public void A_file_that_two_have_mapped_counts_once_and_translated_code_never()
    {
        ProcessMemory one = ProcessMemory.Parse(new StringReader(Hypervisor)), other = one with { RemovedFiles = new Dictionary<string, long> { ["00:19 78"] = 5 } };
        HostCost cost = HostCost.Of([one, one, other], files: 7, program: 11);
        Assert.Equal((3, 60000L << 10, 3900L << 10, (49152L << 10) + 5 + 7, 11L), (cost.Vms, cost.GuestRam, cost.Hypervisors, cost.Files, cost.Program));
        Assert.Equal(cost.GuestRam + cost.Hypervisors + cost.Files + cost.Program, cost.Total);
        Assert.Equal(cost.Total / 3, cost.PerVm);
    }

    [Theory]
    [InlineData("")]
    [InlineData("VmFlags: mg\nPss: 9 kB\n")]
    [InlineData("garbage\n7f00-\nSize: many kB\n")]
    public void Text_without_a_mapping_is_nothing(string text) => Assert.Equal((0L, 0L, 0L), Sum(ProcessMemory.Parse(new StringReader(text))));

    [Fact]
    public void A_process_of_ones_own_has_what_the_kernel_sums_up()
    {
        ProcessMemory memory = ProcessMemory.Read(Environment.ProcessId)!;
        long rolled = ProcessMemory.PssOf(Environment.ProcessId);
        Assert.InRange(memory.GuestRam + memory.TranslatedCode + memory.Own, rolled / 2, rolled * 2);
        Assert.Null(ProcessMemory.Read(int.MaxValue));
        Assert.Equal(0, ProcessMemory.PssOf(int.MaxValue));
    }

    [Fact]
    public void Files_count_where_the_folder_is_memory()
    {
        string folder = Directory.CreateDirectory($"/dev/shm/kaslrmt-cost-{Guid.NewGuid():n}").FullName;
        try
        {
            File.WriteAllBytes(Path.Combine(folder, "prepared"), new byte[10_000]);
            Assert.Equal(10_000, HostCost.FilesIn(folder));
            Assert.Equal(0, HostCost.FilesIn(AppContext.BaseDirectory));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (long, long, long) Sum(ProcessMemory memory) => (memory.GuestRam, memory.TranslatedCode, memory.Own);
}
