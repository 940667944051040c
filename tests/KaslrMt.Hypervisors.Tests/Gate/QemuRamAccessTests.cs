using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Guests;

namespace KaslrMt.Hypervisors.Tests.Gate;

/// <summary>A guest's RAM is written through the address space that was opened, and nowhere else in it; another program that the process becomes is out of reach.</summary>
public sealed class QemuRamAccessTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public unsafe void Reads_and_writes_reach_the_runs_and_not_one_byte_beside_them()
    {
        // Three runs of RAM in this process's own memory, guards around each: two neighbours that lie apart in the process, and one behind a hole.
        const int Guard = 64, Size = 4096;
        byte* block = (byte*)NativeMemory.AllocZeroed((3 * (Size + Guard)) + Guard);
        try
        {
            ulong Host(int run) => (ulong)block + Guard + (ulong)(run * (Size + Guard));
            HostRun[] runs =
            [
                new(new PhysicalRange(new PhysicalAddress(0), Size), Host(2)),
                new(new PhysicalRange(new PhysicalAddress(Size), Size), Host(0)),
                new(new PhysicalRange(new PhysicalAddress(4 * Size), Size), Host(1)),
            ];
            using var ram = new QemuRamAccess(ProcessMemory.Open(Environment.ProcessId), runs);
            byte[] model = new byte[5 * Size];
            var random = new Random(20_261_129);
            for (int i = 0; i < 3000; i++)
            {
                ulong address = random.Next(8) == 0 ? ulong.MaxValue - (ulong)random.Next(Size) : (ulong)random.Next(6 * Size);
                byte[] bytes = new byte[random.Next(random.Next(2) == 0 ? 16 : 3 * Size)];
                random.NextBytes(bytes);
                bool isRam = bytes.Length == 0 || Enumerable.Range(0, bytes.Length).All(at => unchecked(address + (ulong)at) is < 2 * Size or (>= 4 * Size and < 5 * Size));
                byte[] read = new byte[bytes.Length];
                Assert.Equal(isRam, ram.TryRead(new PhysicalAddress(address), read));
                if (isRam)
                {
                    Assert.Equal(bytes.Length == 0 ? [] : model[(int)address..((int)address + bytes.Length)], read);
                    ram.Write(new PhysicalAddress(address), bytes);
                    bytes.CopyTo(model, bytes.Length == 0 ? 0 : (int)address);
                }
                else
                {
                    Assert.Equal(GuestErrors.NotRam, Assert.Throws<KaslrMtException>(() => ram.Write(new PhysicalAddress(address), bytes)).Code);
                }
            }

            Assert.Equal(model.AsSpan(0, Size), new ReadOnlySpan<byte>((void*)Host(2), Size));
            Assert.Equal(model.AsSpan(Size, Size), new ReadOnlySpan<byte>((void*)Host(0), Size));
            Assert.Equal(model.AsSpan(4 * Size), new ReadOnlySpan<byte>((void*)Host(1), Size));
            for (int guard = 0; guard < 4; guard++)
            {
                Assert.Equal(-1, new ReadOnlySpan<byte>(block + (guard * (Size + Guard)), Guard).IndexOfAnyExcept((byte)0));
            }
        }
        finally
        {
            NativeMemory.Free(block);
        }
    }

    [Fact]
    public async Task A_process_is_read_and_written_until_it_becomes_another_program()
    {
        // The second program is the first one: what is mapped where does not tell them apart, all the more should the descriptor.
        using Process process = Start("/bin/sh", "-c", "read x; exec sleep 60");
        try
        {
            await BecomesAsync(process, "sh");
            using ProcessMemory memory = ProcessMemory.Open(process.Id);
            ulong stack = StackOf(process.Id);
            byte[] before = new byte[16];
            memory.Read(stack, before);
            byte[] mark = [.. before.Select(one => (byte)~one)], after = new byte[16];
            memory.Write(stack, mark);
            memory.Read(stack, after);
            Assert.Equal(mark, after);
            memory.Write(stack, before);

            await process.StandardInput.WriteLineAsync();
            await BecomesAsync(process, "sleep");
            await CannotBeReachedAsync(process, memory);
        }
        finally
        {
            process.Kill();
        }
    }

    [Fact]
    public async Task A_program_with_more_rights_is_not_reached_through_what_was_opened_before()
    {
        // Another user's program that becomes one of root's. Without root's rights nobody can make one: su is there then.
        bool isRoot = Environment.IsPrivilegedProcess;
        string program = "/usr/bin/su";
        if (isRoot)
        {
            program = _scratch.At("roots-sleep");
            File.Copy("/usr/bin/sleep", program);
            File.SetUnixFileMode(program, (UnixFileMode)0b100_111_101_101);
            File.SetUnixFileMode(_scratch.Folder, (UnixFileMode)0b111_101_101);
        }

        using Process process = isRoot
            ? Start("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c", $"read x; exec {program} 60")
            : Start("/bin/sh", "-c", $"read x; exec {program} nobody");
        try
        {
            await BecomesAsync(process, "sh");
            using ProcessMemory memory = ProcessMemory.Open(process.Id);
            memory.Read(StackOf(process.Id), new byte[16]);
            await process.StandardInput.WriteLineAsync();
            await BecomesAsync(process, Path.GetFileName(program));
            if (isRoot)
            {
                // Where temporary files are on a file system without setuid programs, this says so: set TMPDIR.
                string status = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process.Id}/status"));
                Assert.Contains("Uid:\t65534\t0\t0\t0", status, StringComparison.Ordinal);
                await CannotBeReachedAsync(process, memory);
            }
            else
            {
                Assert.Equal(GuestErrors.GuestGone, Assert.Throws<KaslrMtException>(() => memory.Write(0x10000, new byte[1])).Code);
                Assert.Equal(GuestErrors.AccessDenied, Assert.Throws<KaslrMtException>(() => ProcessMemory.Open(process.Id)).Code);
            }
        }
        finally
        {
            process.Kill();
        }
    }

    [Fact]
    public async Task A_process_that_has_ended_is_said_to_be_gone()
    {
        using Process process = Start("/bin/sh", "-c", "read x");
        await BecomesAsync(process, "sh");
        using ProcessMemory memory = ProcessMemory.Open(process.Id);
        ulong stack = StackOf(process.Id);
        await process.StandardInput.WriteLineAsync();
        await process.WaitForExitAsync();
        Gone(process.Id, () => memory.Read(stack, new byte[1]));
        Gone(process.Id, () => memory.Write(stack, new byte[1]));
        Gone(process.Id, () => ProcessMemory.Open(process.Id));
    }

    [Fact]
    public void What_is_not_mapped_is_an_error_of_the_host_and_not_the_guests_end()
    {
        using ProcessMemory memory = ProcessMemory.Open(Environment.ProcessId);
        Assert.Equal(GuestErrors.ReadFailed, Assert.Throws<KaslrMtException>(() => memory.Read(0x1000, new byte[1])).Code);
        Assert.Equal(GuestErrors.ReadFailed, Assert.Throws<KaslrMtException>(() => memory.Write(0x1000, new byte[1])).Code);
    }

    [Fact]
    public async Task A_real_guests_memory_that_ends_says_so()
    {
        using var host = new HostFolder();
        using VmFolder folder = host.Runtime.Claim("ending");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(TestVm.Settings(QemuMachine.Microvm) with { Kernel = null, HasGate = true }, folder);
        using VmGate gate = await vm.WaitForGateAsync(TestVm.BootLimit);
        await vm.StopAsync(TimeSpan.Zero);
        Assert.Equal(GuestErrors.GuestGone, Assert.Throws<KaslrMtException>(() => gate.IsWaiting).Code);
        Assert.Equal(GuestErrors.GuestGone, Assert.Throws<KaslrMtException>(gate.ReadWords).Code);
    }

    // Every mapping of the new program is read through a descriptor of its own, before and after: nothing that is written through the old one shows.
    private static async Task CannotBeReachedAsync(Process process, ProcessMemory memory)
    {
        // Until it sleeps: nobody else writes there.
        await Task.Delay(100);
        using ProcessMemory now = ProcessMemory.Open(process.Id);
        int tried = 0;
        foreach ((ulong start, string name) in Mappings(process.Id).Where(mapping => mapping.Name is not ("[vvar]" or "[vsyscall]" or "[vvar_vclock]")))
        {
            byte[] before = new byte[64], after = new byte[64], read = new byte[64];
            now.Read(start, before);
            Gone(process.Id, () => memory.Read(start, read));
            Gone(process.Id, () => memory.Write(start, [.. before.Select(one => (byte)~one)]));
            now.Read(start, after);
            Assert.Equal(before, after);
            Assert.All(read, one => Assert.Equal(0, one));
            Assert.NotNull(name);
            tried++;
        }

        Assert.InRange(tried, 4, 1000);
        Assert.False(process.HasExited);
    }

    private static void Gone(int process, Action action)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(action);
        Assert.Equal(GuestErrors.GuestGone, error.Code);
        Assert.Contains(process.ToString(CultureInfo.InvariantCulture), error.Message, StringComparison.Ordinal);
    }

    private static Process Start(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program) { RedirectStandardInput = true };
        Array.ForEach(arguments, start.ArgumentList.Add);
        return Process.Start(start)!;
    }

    private static Task BecomesAsync(Process process, string name) => TestVm.EventuallyAsync(
        () => File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process.Id}/comm")).Trim() == name, $"the process is {name}");

    private static ulong StackOf(int process) => Mappings(process).Single(mapping => mapping.Name == "[stack]").Start;

    private static IEnumerable<(ulong Start, string Name)> Mappings(int process)
    {
        foreach (string line in File.ReadAllLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/maps")))
        {
            string[] fields = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
            if (fields[1].StartsWith('r'))
            {
                yield return (ulong.Parse(fields[0].Split('-')[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), fields.Length > 5 ? fields[5].Trim() : "");
            }
        }
    }
}
