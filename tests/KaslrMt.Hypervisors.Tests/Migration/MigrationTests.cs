using KaslrMt.Guests;
using KaslrMt.Kernels;

namespace KaslrMt.Hypervisors.Tests.Migration;

/// <summary>A guest that moves keeps counting and keeps its six bases; one that cannot move goes on where it was.</summary>
public sealed class MigrationTests(SavedGuest guest) : IClassFixture<SavedGuest>
{
    // 256 MiB would take two minutes: time to interfere.
    private const long Slow = 2_000_000;

    [Fact]
    public async Task A_restored_guest_counts_on_with_its_six_bases_and_its_state_was_private()
    {
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(guest.StatePath));
        using VmFolder folder = guest.Claim("restored");
        await using IVirtualMachine vm = await guest.RestoreAsync("restored", folder);
        await guest.CountsBeyondAsync("restored", guest.Count + 2);
        Assert.True(guest.Counts("restored")[0] >= guest.Count);
        await AssertSameBasesAsync(vm);
        Assert.DoesNotContain(Directory.EnumerateFiles(folder.Path), file => file.EndsWith("restore.sock", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_migrated_guest_counts_on_with_its_six_bases_on_a_destination_without_kernel_and_the_source_ends()
    {
        using VmFolder here = guest.Claim("source"), there = guest.Claim("destination");
        await using IVirtualMachine source = await guest.RestoreAsync("source", here);
        await using IVirtualMachine destination = await Hypervisor.Default.StartAsync(guest.Settings("destination") with { AwaitsMigration = true }, there);
        MigrationAddress address = MigrationAddress.Unix(Path.Combine(there.Path, "m.sock"));
        await destination.ListenAsync(address);
        await guest.CountsBeyondAsync("source", guest.Count);

        List<MigrationProgress> seen = [];
        MigrationProgress last = await source.MigrateAsync(address, new Recorder(seen));
        await destination.WaitForArrivalAsync();
        Assert.Equal(ShutdownReason.Migrated, (await source.WaitForExitAsync()).Reason);
        Assert.Equal(("completed", "completed"), (last.Status, seen[^1].Status));
        Assert.True(last.Total >= 256 << 20 && last.Transferred > 1 << 20);

        int before = guest.LastCount("source");
        await guest.CountsBeyondAsync("destination", before + 2);

        // The line that was being printed may be cut in two.
        Assert.InRange(guest.Counts("destination")[0], before, before + 2);
        await AssertSameBasesAsync(destination);
    }

    [Fact]
    public async Task A_destination_that_dies_midway_leaves_the_source_running()
    {
        using VmFolder here = guest.Claim("survivor"), there = guest.Claim("dying");
        await using IVirtualMachine source = await guest.RestoreAsync("survivor", here);
        IVirtualMachine destination = await Hypervisor.Default.StartAsync(guest.Settings("dying") with { AwaitsMigration = true }, there);
        MigrationAddress address = MigrationAddress.Unix(Path.Combine(there.Path, "m.sock"));
        await destination.ListenAsync(address);
        TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<MigrationProgress> moving = source.MigrateAsync(address, new Watcher(begun), Slow);
        await begun.Task.WaitAsync(TestVm.BootLimit);
        using (System.Diagnostics.Process process = System.Diagnostics.Process.GetProcessById(destination.ProcessId))
        {
            process.Kill();
        }

        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(() => moving);
        Assert.Equal(HypervisorErrors.MigrationFailed, error.Code);
        Assert.Equal(HypervisorErrors.ArrivalFailed, (await Assert.ThrowsAsync<KaslrMtException>(() => destination.WaitForArrivalAsync())).Code);
        await destination.DisposeAsync();
        await guest.CountsBeyondAsync("survivor", guest.LastCount("survivor") + 2);
        await AssertSameBasesAsync(source);
    }

    [Fact]
    public async Task A_cancelled_migration_and_a_save_that_cannot_be_written_leave_the_guest_running()
    {
        using VmFolder here = guest.Claim("cancelling"), there = guest.Claim("waiting");
        await using IVirtualMachine source = await guest.RestoreAsync("cancelling", here);
        await using IVirtualMachine destination = await Hypervisor.Default.StartAsync(guest.Settings("waiting") with { AwaitsMigration = true }, there);
        MigrationAddress address = MigrationAddress.Unix(Path.Combine(there.Path, "m.sock"));
        await destination.ListenAsync(address);
        using CancellationTokenSource cancel = new();
        TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<MigrationProgress> moving = source.MigrateAsync(address, new Watcher(begun), Slow, cancellationToken: cancel.Token);
        await begun.Task.WaitAsync(TestVm.BootLimit);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => moving);
        await guest.CountsBeyondAsync("cancelling", guest.LastCount("cancelling") + 2);

        using CancellationTokenSource late = new();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => source.SaveAsync(guest.Scratch("unfinished"), here, new Canceller(late), cancellationToken: late.Token));
        Assert.False(File.Exists(guest.Scratch("unfinished")));

        // The file is whole, and the table says no: it is there while it is asked, and gone with the guest running.
        string refused = guest.Scratch("not wanted");
        bool wasThere = false;
        await Assert.ThrowsAsync<InvalidOperationException>(() => source.SaveAsync(refused, here, saved: () =>
        {
            wasThere = File.Exists(refused);
            throw new InvalidOperationException();
        }));
        Assert.True(wasThere);
        Assert.False(File.Exists(refused));
        Assert.Equal("running", await source.StatusAsync());
        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(() => source.SaveAsync("/no/such/folder/state", here));
        Assert.Equal(2601, error.Code.Number);
        await guest.CountsBeyondAsync("cancelling", guest.LastCount("cancelling") + 2);
    }

    [Fact]
    public async Task A_saved_state_that_is_cut_off_or_of_another_machine_is_refused_and_leaves_no_qemu()
    {
        byte[] half = new byte[1 << 20];
        using (FileStream whole = File.OpenRead(guest.StatePath))
        {
            whole.ReadExactly(half);
        }

        File.WriteAllBytes(guest.Scratch("half"), half);
        using VmFolder folder = guest.Claim("refused");
        MachineDefinition right = guest.Settings("refused"), wrong = right with { Memory = new ByteSize(512 * ByteSize.MiB) };
        await Refused(right, guest.Scratch("half"), HypervisorErrors.ArrivalFailed);
        await Refused(wrong, guest.StatePath, HypervisorErrors.ArrivalFailed);
        await Refused(right, guest.Scratch("none"), HypervisorErrors.FileUnreadable);

        async Task Refused(MachineDefinition settings, string file, ErrorCode code) => Assert.Equal(
            code, (await Assert.ThrowsAsync<KaslrMtException>(() => Hypervisor.Default.RestoreAsync(settings, folder, file))).Code);
    }

    [Theory]
    [InlineData("pc", false)]
    [InlineData("pc", true)]
    [InlineData("microvm", false)]
    [InlineData("microvm,acpi=off", true)]
    public async Task What_arrives_is_the_sources_memory_whatever_kernel_the_destination_was_given(string machine, bool otherKernel)
    {
        QemuMachine type = QemuMachine.Parse(machine);
        using VmFolder here = guest.Claim("small"), there = guest.Claim("small-there");
        await using IVirtualMachine source = await Hypervisor.Default.StartAsync(TestVm.Settings(type, HaltingKernel.Write(guest.Scratch("halt.elf"))), here);
        string? other = otherKernel ? KaslrMt.TestSupport.TestKernels.Image("6.1-cloud") : null;
        await using IVirtualMachine destination = await Hypervisor.Default.StartAsync(
            TestVm.Settings(type) with { Kernel = other, AwaitsMigration = true }, there);
        MigrationAddress address = MigrationAddress.Unix(Path.Combine(there.Path, "m.sock"));
        await destination.ListenAsync(address);
        await source.MigrateAsync(address);
        await destination.WaitForArrivalAsync();
        using IGuestMemory memory = await destination.OpenMemoryAsync();
        byte[] code = new byte[4];
        memory.Read(new PhysicalAddress(HaltingKernel.Base), code);
        Assert.Equal([0xfa, 0xf4, 0xeb, 0xfd], code);
    }

    [Theory]
    [InlineData("host;rm", 1)]
    [InlineData("", 1)]
    [InlineData("host", 0)]
    [InlineData("host", 65536)]
    [InlineData("host,ipv4=on", 5)]
    public void An_address_that_is_none_is_refused(string host, int port) =>
        Assert.Equal(HypervisorErrors.SettingInvalid, Assert.Throws<KaslrMtException>(() => MigrationAddress.Tcp(host, port)).Code);

    private async Task AssertSameBasesAsync(IVirtualMachine vm)
    {
        ObservedLayout now = await guest.ObserveAsync(vm);
        Assert.NotNull(now.Modules);
        Assert.Equal(Six(guest.Bases), Six(now));
    }

    private static ulong?[] Six(ObservedLayout bases) =>
    [
        bases.KernelPhysical.Value, bases.KernelVirtual.Value, bases.Physmap.Value, bases.Vmalloc.Value, bases.Vmemmap.Value, bases.Modules?.Value,
    ];

    private sealed class Recorder(List<MigrationProgress> seen) : IProgress<MigrationProgress>
    {
        public void Report(MigrationProgress value) => seen.Add(value);
    }

    private sealed class Watcher(TaskCompletionSource begun) : IProgress<MigrationProgress>
    {
        public void Report(MigrationProgress value)
        {
            if (value.Status == "active" && value.Transferred > 0)
            {
                begun.TrySetResult();
            }
        }
    }

    private sealed class Canceller(CancellationTokenSource cancellation) : IProgress<MigrationProgress>
    {
        public void Report(MigrationProgress value) => cancellation.Cancel();
    }
}
