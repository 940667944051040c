using System.Text;
using KaslrMt.Guests;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>A guest's memory is read as it is, inside its bounds only, and a guest that ends says so.</summary>
public sealed class QemuMemoryTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("pc", 0xc0000000)]
    [InlineData("q35", 0x80000000)]
    [InlineData("microvm", 0xc0000000)]
    public async Task Reads_reach_the_last_byte_of_ram_on_both_sides_of_the_hole_and_not_one_further(string machine, ulong lowEnd)
    {
        using VmFolder folder = _scratch.Runtime.Claim("memory");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(
            Halting(QemuMachine.Parse(machine)) with { Memory = new ByteSize(4 * ByteSize.GiB), StartPaused = true }, folder);
        using IGuestMemory memory = await vm.OpenMemoryAsync();

        byte[] code = new byte[4];
        memory.Read(new PhysicalAddress(HaltingKernel.Base), code);
        Assert.Equal([0xfa, 0xf4, 0xeb, 0xfd], code);

        byte[] two = new byte[2];
        memory.Read(new PhysicalAddress(lowEnd - 2), two);
        memory.Read(new PhysicalAddress(4 * ByteSize.GiB), two);
        foreach ((ulong address, int length) in new[] { (lowEnd - 1, 2), (lowEnd, 1), (0xffffffffUL, 2), (ulong.MaxValue, 1), (ulong.MaxValue - 1, 4) })
        {
            byte[] buffer = new byte[length];
            buffer.AsSpan().Fill(0x5a);
            Assert.False(memory.TryRead(new PhysicalAddress(address), buffer));
            Assert.All(buffer, b => Assert.Equal(0x5a, b));
            Assert.Equal(GuestErrors.NotRam, Assert.Throws<KaslrMtException>(() => memory.Read(new PhysicalAddress(address), buffer)).Code);
        }
    }

    [Fact]
    public async Task Memory_read_from_outside_equals_what_the_monitor_saves()
    {
        using VmFolder folder = _scratch.Runtime.Claim("same");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(
            TestVm.Settings(QemuMachine.Pc) with { CommandLine = "earlyprintk=ttyS0", Console = SerialConsole.ToFile(_scratch.At("log")) }, folder);
        await TestVm.EventuallyAsync(() => Printed("Linux version"), "a running kernel");
        await vm.PauseAsync();
        await TestVm.MonitorOf(vm).ExecuteAsync("pmemsave", writer =>
        {
            writer.WriteNumber("val", 0);
            writer.WriteNumber("size", 256 << 20);
            writer.WriteString("filename", _scratch.At("saved"));
        });
        using IGuestMemory memory = await vm.OpenMemoryAsync();
        byte[] saved = File.ReadAllBytes(_scratch.At("saved"));
        byte[] read = new byte[saved.Length];
        ulong compared = 0;
        foreach (PhysicalRange range in memory.Ranges)
        {
            Span<byte> part = read.AsSpan((int)range.Start.Value, (int)range.Length);
            memory.Read(range.Start, part);
            Assert.True(part.SequenceEqual(saved.AsSpan((int)range.Start.Value, part.Length)), $"{range} differs");
            compared += range.Length;
        }

        Assert.True(compared > 254 << 20);
        Assert.True(read.AsSpan().IndexOf(Encoding.ASCII.GetBytes("Linux version 6.1")) > 0);
    }

    [Fact]
    public async Task A_guest_that_ends_while_it_is_read_is_reported_as_gone()
    {
        using VmFolder folder = _scratch.Runtime.Claim("ending");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Halting(QemuMachine.Microvm), folder);
        using IGuestMemory memory = await vm.OpenMemoryAsync();
        Task<KaslrMtException> reader = Task.Run(() => Assert.Throws<KaslrMtException>(ReadForEver));
        await Task.Delay(50);
        await vm.StopAsync(TimeSpan.Zero);
        KaslrMtException e = await reader.WaitAsync(TestVm.BootLimit);
        Assert.Equal(GuestErrors.GuestGone, e.Code);
        Assert.Contains($"{vm.ProcessId}", e.Message, StringComparison.Ordinal);

        void ReadForEver()
        {
            byte[] block = new byte[1 << 20];
            while (true)
            {
                memory.Read(new PhysicalAddress(ByteSize.MiB), block);
            }
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("FlatView #0\n AS \"memory\", root: system\n Root memory region: system\n  No rendered FlatView\n")]
    [InlineData("FlatView #0\n AS \"I/O\", root: io\n Root memory region: io\n  0000000000000000-000000000000ffff (prio 0, ram): pc.ram\n")]
    [InlineData("FlatView #0\n AS \"memory\", root: s\n Root memory region: s\n  0000000000000000-ffffffffffffffff (prio 0, ram): pc.ram\n")]
    [InlineData("FlatView #0\n AS \"memory\", root: s\n Root memory region: s\n  0000000000000000-0000000000001fff (prio 0, ram): a\n  0000000000001000-0000000000001fff (prio 0, ram): a @0000000000001000\n")]
    [InlineData("FlatView #0\n AS \"memory\", root: s\n Root memory region: s\n  0000000000002000-0000000000001fff (prio 0, ram): a\n")]
    public void A_memory_map_that_makes_no_sense_is_refused(string text) =>
        Assert.Equal(HypervisorErrors.MemoryMap, Assert.Throws<KaslrMtException>(() => MemoryTree.Parse(text)).Code);

    private bool Printed(string text) => File.Exists(_scratch.At("log")) && File.ReadAllText(_scratch.At("log")).Contains(text, StringComparison.Ordinal);

    private MachineDefinition Halting(QemuMachine machine) => TestVm.Settings(machine, HaltingKernel.Write(_scratch.At("halt.elf")));
}
