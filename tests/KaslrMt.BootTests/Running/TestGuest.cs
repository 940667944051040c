using System.Globalization;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.BootTests.Running;

/// <summary>A guest that the product runs, in this process: real kernel, real QEMU (TCG).</summary>
internal sealed class TestGuest : IAsyncDisposable
{
    private static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(120);
    private static int _count;

    private readonly HostFolder _scratch;
    private readonly GuestPlan _plan;
    private readonly LayoutRequest _request;
    private readonly CancellationTokenSource _stop = new();
    private readonly StringWriter _log = new(CultureInfo.InvariantCulture);
    private readonly Task<VmExit> _run;

    private TestGuest(HostFolder scratch, GuestPlan plan)
    {
        _scratch = scratch;
        _plan = plan;
        Name = string.Create(CultureInfo.InvariantCulture, $"guest{Interlocked.Increment(ref _count)}");
        ConsolePath = scratch.At($"{Name}.console");
        string initrd = GuestInit.WriteTo(scratch.At($"{Name}.initrd"), plan.Kernel, plan.Then, plan.ModuleFiles);
        _request = plan.Request(new FileInfo(initrd).Length);
        VmSpec spec = plan.Spec(Name, _request) with { Initrd = initrd, Console = ConsolePath };
        _run = Task.Run(() => RunAsync(spec, TextWriter.Synchronized(_log)));
    }

    internal string Name { get; }

    internal string ConsolePath { get; }

    /// <summary>The VM's folder while it runs.</summary>
    internal string Folder => Path.Combine(_scratch.Runtime.Path, Name);

    internal string Console => File.Exists(ConsolePath) ? File.ReadAllText(ConsolePath) : "";

    /// <summary>What the owner said.</summary>
    internal string Log => _log.ToString();

    /// <summary>What the VM was given.</summary>
    internal IntendedLayout Intended => IntendedLayout.ReadFrom(Folder) ?? throw new InvalidOperationException($"{Name} has no layout");

    internal bool HasLayout => IntendedLayout.ReadFrom(Folder) is not null;

    /// <summary>QEMU's arguments, as every user of the host may read them.</summary>
    internal string QemuCommandLine => File.ReadAllText($"/proc/{State.ProcessId}/cmdline").Replace('\0', ' ');

    internal VmState State => _scratch.Runtime.List().Single(vm => vm.Name == Name).State!;

    /// <summary>Starts a guest and waits until it has printed its view.</summary>
    internal static Task<TestGuest> StartAsync(HostFolder scratch, GuestPlan plan) => OnTimeAsync(plan, async () =>
    {
        TestGuest guest = new(scratch, plan);
        try
        {
            await guest.WaitForConsoleAsync(GuestInit.End + "\r\n").ConfigureAwait(false);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    });

    /// <summary>Does what needs a guest; once more when one stands still that QEMU is known to leave so.</summary>
    /// <remarks>
    /// About one boot in a hundred of QEMU 7.2's microvm stands still under TCG, with stock kernels too (the machine has no timer that its emulated
    /// processor can be measured by). A guest with two processors did so once on a host under heavy load, and not again with the same seed: its
    /// processors are threads that wait for one another. Three in a row are a fault of ours.
    /// </remarks>
    internal static async Task<T> OnTimeAsync<T>(GuestPlan plan, Func<Task<T>> attempt)
    {
        for (int left = MayStandStill(plan) ? 2 : 0; left > 0; left--)
        {
            try
            {
                return await attempt().ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                // QEMU's, as far as one can tell: the next attempt shows.
            }
        }

        return await attempt().ConfigureAwait(false);
    }

    /// <summary>The layout that key and seed give, planned by this test and not by the VM's owner.</summary>
    /// <param name="boot">How often the guest booted before.</param>
    internal IReadOnlyDictionary<Layout.Region, ulong> Planned(int boot = 0)
    {
        using LayoutRequest request = _plan.Request(new FileInfo(_scratch.At($"{Name}.initrd")).Length);
        using Layout.KernelLayout layout = request.Plan(Geometries.Of(_plan.Kernel), boot);
        return layout.Regions.ToDictionary(region => region.Region, region => region.Base);
    }

    internal GuestView View() => GuestView.Parse(Console);

    /// <summary>What its memory holds, read from outside, beside what it was given.</summary>
    internal async Task<LayoutVerification> ObserveAsync()
    {
        await using IVmConnection vm = await Hypervisor.Default.OpenAsync(_scratch.Runtime.List().Single(one => one.Name == Name)).ConfigureAwait(false);
        return await LayoutVerification.RunAsync(Intended, vm, BootLimit, CancellationToken.None).ConfigureAwait(false);
    }

    internal async Task<QemuMemory> OpenMemoryAsync()
    {
        await using QmpClient monitor = await QmpClient.ConnectAsync(Path.Combine(Folder, "qmp.sock"), BootLimit).ConfigureAwait(false);
        return await QemuMemory.OpenAsync(monitor, State.ProcessId!.Value).ConfigureAwait(false);
    }

    internal Task WaitForConsoleAsync(string text) => WaitAsync(() => Console.Contains(text, StringComparison.Ordinal), $"'{text.Trim()}' on the console");

    internal Task WaitForBootsAsync(int count) => WaitAsync(() => Console.Split(GuestInit.End).Length > count, $"boot {count}");

    internal Task WaitForLogAsync(string text) => WaitAsync(() => Log.Contains(text, StringComparison.Ordinal), $"'{text}' in the log");

    /// <summary>Stops the VM; nothing of it is left.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        try
        {
            await _run.ConfigureAwait(false);
        }
        catch (KaslrMtException error)
        {
            // A VM that could not run is what some tests want to see; the others have seen it in WaitAsync.
            await _log.WriteLineAsync(error.Message).ConfigureAwait(false);
        }

        _request.Dispose();
        _stop.Dispose();
        Assert.False(Directory.Exists(Folder), $"{Folder} is left behind");
    }

    private async Task<VmExit> RunAsync(VmSpec spec, TextWriter log)
    {
        var lines = new LineLogger(log.WriteLine);
        await using VmHost host = new(_scratch.Runtime, lines);
        using VmFolder folder = _scratch.Runtime.Claim(Name);
        return await new VmOwner(host, spec, _request, lines) { StopGrace = TimeSpan.Zero }.RunAsync(folder, null, null, _stop.Token).ConfigureAwait(false);
    }

    // One that may stand still is tried again, so its limit is shorter.
    private TimeSpan Limit => MayStandStill(_plan) ? BootLimit / 2 : BootLimit;

    private static bool MayStandStill(GuestPlan plan) => plan.Cpus > 1 || plan.Machine.StartsWith("microvm", StringComparison.Ordinal);

    private async Task WaitAsync(Func<bool> condition, string what)
    {
        long start = Environment.TickCount64;
        while (!condition())
        {
            if (_run.IsCompleted && !condition())
            {
                VmExit exit = await _run.ConfigureAwait(false);
                Assert.Fail($"{_plan}: the VM ended ({exit.Reason}, {exit.LastWords}) before {what}\n{Log}\n{Console}");
            }

            if (Environment.TickCount64 - start >= Limit.TotalMilliseconds)
            {
                throw new TimeoutException($"{_plan}: not within {Limit.TotalSeconds} s: {what}\n{Log}\n{Console}");
            }

            await Task.Delay(20).ConfigureAwait(false);
        }
    }
}
