using System.Globalization;
using System.Text.RegularExpressions;
using KaslrMt.Guests;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Hypervisors.Tests.Migration;

/// <summary>A counting busybox guest with a layout of ours, booted once, saved, and restored by each test that needs one running.</summary>
public sealed class SavedGuest : IAsyncLifetime, IDisposable
{
    private readonly HostFolder _scratch = new();
    private ObservationSymbols? _symbols;

    /// <summary>What its memory held before it was saved.</summary>
    internal ObservedLayout Bases { get; private set; }

    /// <summary>What it had counted to, at least, before it was saved.</summary>
    internal int Count { get; private set; }

    internal string StatePath => _scratch.At("state");

    public async Task InitializeAsync()
    {
        string image = _scratch.At("image"), initrd = Initramfs.BuildTo(_scratch.At("initrd"), "i=0; while true; do i=$((i+1)); echo TICK $i; sleep 0.1; done");
        MachineDefinition settings = Settings("boot") with { Kernel = image, Initrd = initrd, CommandLine = "console=ttyS0 quiet" };
        GuestRam ram = settings.Machine.PlaceMemory(settings.Memory, (ulong)new FileInfo(initrd).Length);
        using TenantKey key = TenantKey.Generate();
        using VmSeed seed = VmSeed.Generate();
        using (PreparedKernel kernel = PreparedKernel.Open(TestKernels.Image("6.12-cloud")))
        {
            using KernelLayout layout = LayoutPlanner.Plan(
                kernel.Facts.Geometry, new GuestMemoryMap(ram.Ranges, ram.Taken), Policy.Default, key, seed, AddressProducers.Default);
            kernel.WriteBootImage(layout, image, ram.Overwritten);
            _symbols = ObservationSymbols.Of(kernel.Facts);
        }

        using VmFolder folder = _scratch.Runtime.Claim("boot");
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(settings, folder);
        Count = await CountsBeyondAsync("boot", 2);
        Bases = await ObserveAsync(vm);

        // Whatever restores the guest must do so without what it was booted from.
        File.Delete(image);
        File.Delete(initrd);
        await vm.SaveAsync(StatePath, folder);
        Assert.Equal(ShutdownReason.Saved, (await vm.WaitForExitAsync()).Reason);
    }

    public Task DisposeAsync() => Task.CompletedTask;

    public void Dispose() => _scratch.Dispose();

    internal VmFolder Claim(string name) => _scratch.Runtime.Claim(name);

    internal string Scratch(string name) => _scratch.At(name);

    internal MachineDefinition Settings(string name) =>
        TestVm.Settings(QemuMachine.Q35) with { Kernel = null, Console = SerialConsole.ToFile(_scratch.At($"{name}.log")) };

    internal Task<IVirtualMachine> RestoreAsync(string name, VmFolder folder) => Hypervisor.Default.RestoreAsync(Settings(name), folder, StatePath);

    internal async Task<ObservedLayout> ObserveAsync(IVirtualMachine vm)
    {
        using IGuestMemory memory = await vm.OpenMemoryAsync();
        return LayoutObserver.Read(memory, await vm.ReadCr3Async(), _symbols!);
    }

    /// <summary>Waits until a console shows a count above that, and returns it.</summary>
    internal async Task<int> CountsBeyondAsync(string name, int least)
    {
        int last = 0;
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < TestVm.BootLimit.TotalMilliseconds; await Task.Delay(50))
        {
            last = LastCount(name);
            if (last > least)
            {
                return last;
            }
        }

        Assert.Fail($"{name} counted to {last}, not beyond {least}");
        return last;
    }

    internal int LastCount(string name) => Counts(name) is [.., int last] ? last : 0;

    /// <summary>All counts a console shows.</summary>
    internal IReadOnlyList<int> Counts(string name)
    {
        string log = _scratch.At($"{name}.log");
        return File.Exists(log)
            ? [.. Regex.Matches(File.ReadAllText(log), @"^TICK (\d+)\s*$", RegexOptions.Multiline).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))]
            : [];
    }
}
