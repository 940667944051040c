namespace KaslrMt.Hypervisors.Tests;

/// <summary>Where a guest's RAM is, told by QEMU's command line and memory map alone; and when that cannot tell, that it says so.</summary>
public sealed class ProcessRamTests
{
    private const string Map = """
        55d0c0000000-55d0c0a00000 r-xp 00000000 fe:01 4242                       /usr/bin/qemu-system-x86_64
        7f0000000000-7f0001000000 rw-p 00000000 00:00 0
        7f1000000000-7f1020000000 rw-p 00000000 00:00 0
        7f1020000000-7f1020001000 ---p 00000000 00:00 0
        7f2000000000-7f2040000000 rw-s 00000000 00:1b 77                         /dev/shm/ram0
        7f3000000000-7f3040000000 rw-s 00000000 00:1b 78                         /dev/shm/ram1
        7f4000000000-7f4080200000 rw-p 00000000 00:00 0
        7f4080200000-7f4080201000 ---p 00000000 00:00 0
        7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
        """;

    [Theory]
    [InlineData("qemu", 128UL)]
    [InlineData("qemu -m 512", 512UL)]
    [InlineData("qemu -m 2G -m 512M", 512UL)]
    [InlineData("qemu -m size=1G,slots=2,maxmem=4G", 1024UL)]
    [InlineData("qemu -m 262144K", 256UL)]
    public void The_size_of_ram_is_read_as_qemu_reads_it(string line, ulong mib) => Assert.Equal(mib << 20, Parse(line).Memory);

    [Theory]
    [InlineData("qemu", "pc")]
    [InlineData("qemu -M pc-q35-7.2,accel=tcg", "q35")]
    [InlineData("qemu -machine accel=kvm,type=pc-i440fx-7.2", "pc")]
    [InlineData("qemu -machine q35 -machine accel=tcg", "q35")]
    [InlineData("qemu --machine microvm,acpi=off", "microvm")]
    public void The_machine_is_told_by_every_way_of_writing_it(string line, string machine) => Assert.Equal(machine, Parse(line).Machine.Argument);

    [Theory]
    [InlineData("qemu -qmp unix:/run/a.sock,server=on,wait=off", "/run/a.sock")]
    [InlineData("qemu -qmp tcp:localhost:4444", null)]
    [InlineData("qemu -chardev socket,id=m,path=/run/b,,c.sock,server=on -mon chardev=m,mode=control", "/run/b,c.sock")]
    [InlineData("qemu -chardev socket,id=m,fd=7 -mon chardev=m,mode=control", null)]
    [InlineData("qemu -chardev socket,id=m,path=/run/b.sock -mon chardev=m,mode=readline", null)]
    public void The_monitor_is_the_one_that_speaks_qmp_on_a_socket_with_a_name(string line, string? socket) => Assert.Equal(socket, Parse(line).MonitorSocket);

    [Theory]
    [InlineData("qemu -M isapc")]
    [InlineData("qemu -m lots")]
    [InlineData("qemu -M q35,max-ram-below-4g=1G")]
    [InlineData("qemu -device pc-dimm,memdev=x")]
    [InlineData("qemu -M pc,memory-backend=none")]
    public void What_the_command_line_does_not_tell_is_asked_of_a_monitor(string line) =>
        Assert.Equal(HypervisorErrors.RamNotFound, Assert.Throws<KaslrMtException>(() => Parse(line)).Code);

    [Fact]
    public void Anonymous_ram_is_the_memory_of_its_size()
    {
        (PhysicalRange range, ulong host) = Assert.Single(ProcessRam.Locate(Map, Parse("qemu -m 512M")));
        Assert.Equal(new PhysicalRange(new(0), 512UL << 20), range);
        Assert.Equal(0x7f1000000000UL, host);
    }

    [Fact]
    public void Ram_that_the_host_joined_with_its_neighbour_ends_before_the_page_nobody_may_touch_and_is_cut_at_the_hole()
    {
        List<(PhysicalRange Range, ulong Host)> runs = ProcessRam.Locate(Map.Replace("7f40802", "7f40c02", StringComparison.Ordinal), Parse("qemu -m 3G -M q35"));
        Assert.Equal(
            [(PhysicalRange.Between(0, 2UL << 30), 0x7f4000200000UL), (new PhysicalRange(new(4UL << 30), 1UL << 30), 0x7f4080200000UL)],
            runs);
    }

    [Fact]
    public void Backends_lie_one_behind_the_other_in_the_order_of_the_nodes()
    {
        const string Line = "qemu -M q35 -m 2G -object memory-backend-file,id=b,size=1G,mem-path=/dev/shm/ram1,share=on "
            + "-object memory-backend-file,id=a,size=1G,mem-path=/dev/shm/ram0,share=on -numa node,memdev=a -numa node,memdev=b";
        Assert.Equal(
            [(new PhysicalRange(new(0), 1UL << 30), 0x7f2000000000UL), (new PhysicalRange(new(1UL << 30), 1UL << 30), 0x7f3000000000UL)],
            ProcessRam.Locate(Map, Parse(Line)));
    }

    [Theory]
    [InlineData("qemu -m 1G", "2 pieces")]
    [InlineData("qemu -m 768M", "no memory of 768M")]
    [InlineData("qemu -m 2G -object memory-backend-memfd,id=a,size=512M -object memory-backend-memfd,id=b,size=512M -numa node,memdev=a -numa node,memdev=b", "look the same")]
    public void Ram_that_could_be_several_things_is_not_guessed(string line, string why)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => ProcessRam.Locate(Map, Parse(line)));
        Assert.Equal(HypervisorErrors.RamNotFound, error.Code);
        Assert.Contains(why, error.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_process_that_is_no_qemu_is_refused() =>
        Assert.Equal(HypervisorErrors.NoQemu, Assert.Throws<KaslrMtException>(() => QemuMemory.Open(Environment.ProcessId)).Code);

    [Fact]
    public void The_monitors_map_gives_all_backends_and_no_video_memory()
    {
        const string Tree = """
            FlatView #0
             AS "memory", root: system
             Root memory region: system
              0000000000000000-000000003fffffff (prio 0, ram): /objects/a
              00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram
              0000000100000000-000000013fffffff (prio 0, ram): b

            """;
        Assert.Equal(["/objects/a", "b"], MemoryTree.Parse(Tree, "a", "b").Select(run => run.Block));
        Assert.Equal(["/objects/a"], MemoryTree.Parse(Tree).Select(run => run.Block));
    }

    private static QemuCommandLine Parse(string line) => QemuCommandLine.Parse(line.Split(' '));
}
