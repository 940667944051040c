using System.Diagnostics;
using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;
using KaslrMt.Sharing;
using KaslrMt.Vms;

namespace KaslrMt.Lab.Demo;

/// <summary>One VM of the demonstration, from its image to what is seen of it.</summary>
internal sealed class DemoVm : IAsyncDisposable
{
    /// <summary>The kernel's command line, of all VMs of the demonstration.</summary>
    public const string CommandLine = "console=ttyS0 quiet no_timer_check loglevel=1 panic=-1";

    /// <summary>Their RAM.</summary>
    public static readonly ByteSize Memory = new(256 * ByteSize.MiB);

    private static readonly TimeSpan BootPatience = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);

    private readonly VmFolder _folder;
    private readonly IVirtualMachine _machine;
    private bool _ended;

    private DemoVm(VmFolder folder, IVirtualMachine machine, DemoReport.VmRow report, string release)
    {
        _folder = folder;
        _machine = machine;
        Report = report;
        Release = release;
    }

    /// <summary>What was seen.</summary>
    public DemoReport.VmRow Report { get; }

    /// <summary>The kernel's release.</summary>
    public string Release { get; }

    /// <summary>Its QEMU.</summary>
    public int ProcessId => _machine.ProcessId;

    /// <summary>Boots a VM and looks at it from inside and outside. It runs on until disposed.</summary>
    public static async Task<DemoVm> BootAsync(
        DemoKernel kernel, string initramfs, string tenant, TenantKey key, int number, RuntimeDirectory runtime, AcceleratorChoice accelerator, CancellationToken cancellationToken)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"demo-{kernel.Name}-{tenant}-{number}-{Environment.ProcessId}");
        VmFolder folder = runtime.Claim(name);
        IVirtualMachine? machine = null;
        try
        {
            VmState state = VmState.OwnedByThisProcess(name) with { Tenant = tenant, Kernel = kernel.Image, Memory = Memory.Bytes, Machine = Hypervisor.Default.Machine("q35").Argument };
            folder.WriteState(state);
            var clock = Stopwatch.StartNew();
            (KernelFacts facts, IntendedLayout intended, bool cached) = MakeImage(kernel, initramfs, key, folder, runtime);
            double image = Lap(clock);

            string console = Path.Combine(folder.Path, "console");
            machine = await Hypervisor.Default.StartAsync(Settings(folder.ImagePath, initramfs, console, accelerator), folder, cancellationToken).ConfigureAwait(false);
            double start = Lap(clock);
            File.Delete(folder.ImagePath);
            folder.WriteState(state with { ProcessId = machine.ProcessId, ProcessStartTime = machine.ProcessStartTime, Release = facts.Release });

            GuestSelfReport self = await HearAsync(machine, console, kernel, cancellationToken).ConfigureAwait(false);
            double boot = Lap(clock);
            LayoutVerification seen = await LayoutVerification.RunAsync(intended, machine, TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
            var times = new DemoReport.StepTimes(image, cached, start, boot, Lap(clock));
            string label = string.Create(CultureInfo.InvariantCulture, $"VM {number}");
            return new DemoVm(folder, machine, new DemoReport.VmRow(tenant, label, Rows(seen, self), self.ModuleAddress is ulong module ? Hex(module) : null, times), facts.Release);
        }
        catch
        {
            if (machine is not null)
            {
                await machine.DisposeAsync().ConfigureAwait(false);
            }

            folder.Dispose();
            throw;
        }
    }

    /// <summary>Stops its processors for good, and reads its kernel's pages.</summary>
    /// <exception cref="KaslrMtException">KMT50xx; errors of the monitor.</exception>
    public async Task<ProbePages> ReadPagesAsync(CancellationToken cancellationToken)
    {
        await _machine.PauseAsync(cancellationToken).ConfigureAwait(false);
        using IGuestMemory memory = await _machine.OpenMemoryAsync(cancellationToken).ConfigureAwait(false);
        KernelHints hints = await _machine.ReadHintsAsync(cancellationToken).ConfigureAwait(false);
        return await Task.Run(() => ProbePages.ReadKernel(GuestKernel.Find(memory, hints)), cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_ended)
        {
            return;
        }

        _ended = true;
        await _machine.DisposeAsync().ConfigureAwait(false);
        _folder.Dispose();
    }

    private static (KernelFacts Kernel, IntendedLayout Intended, bool Cached) MakeImage(
        DemoKernel kernel, string initramfs, TenantKey key, VmFolder folder, RuntimeDirectory runtime)
    {
        ImageCache cache = CacheLocation.Open(runtime);
        GuestRam ram = Hypervisor.Default.Machine("q35").PlaceMemory(Memory, (ulong)new FileInfo(initramfs).Length);
        var map = new GuestMemoryMap(ram.Ranges, ram.Taken);
        using VmSeed seed = VmSeed.Generate();
        BootImage written = BootImages.Write(
            kernel.Image, cache, facts => LayoutPlanner.Plan(facts.Geometry, map, Policy.Default, key, seed, AddressProducers.Default), folder.ImagePath, ram.Overwritten);
        using (written.Layout)
        {
            IntendedLayout intended = IntendedLayout.Of(written.Layout, written.Kernel);
            intended.WriteTo(folder);
            return (written.Kernel, intended, written.FromCache);
        }
    }

    private static MachineDefinition Settings(string image, string initramfs, string console, AcceleratorChoice accelerator) => new()
    {
        Kernel = image,
        Machine = Hypervisor.Default.Machine("q35"),
        Memory = Memory,
        Accelerator = accelerator,
        Initrd = initramfs,
        CommandLine = CommandLine,
        Console = SerialConsole.ToFile(console),
    };

    private static async Task<GuestSelfReport> HearAsync(IVirtualMachine machine, string console, DemoKernel kernel, CancellationToken cancellationToken)
    {
        Task<VmExit> ended = machine.WaitForExitAsync(cancellationToken);
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < BootPatience.TotalMilliseconds;)
        {
            if (File.Exists(console) && GuestSelfReport.Read(await File.ReadAllTextAsync(console, cancellationToken).ConfigureAwait(false)) is { } report)
            {
                return report;
            }

            if (await Task.WhenAny(ended, Task.Delay(Interval, cancellationToken)).ConfigureAwait(false) == ended)
            {
                VmExit exit = await ended.ConfigureAwait(false);
                throw new KaslrMtException(LabErrors.Demo, $"a VM with {kernel.Name} ended while it booted ({exit.Reason}) {exit.LastWords}");
            }

            cancellationToken.ThrowIfCancellationRequested();
        }

        throw new KaslrMtException(LabErrors.Demo, $"a VM with {kernel.Name} did not boot within {BootPatience.TotalSeconds:0} s");
    }

    private static IReadOnlyList<DemoReport.BaseRow> Rows(LayoutVerification seen, GuestSelfReport self) => [.. seen.Regions.Select(row => new DemoReport.BaseRow(
        row.Region.Name(),
        row.Scope.Name(),
        Hex(row.Intended),
        self.Bases.TryGetValue(row.Region, out ulong own) ? Hex(own) : null,
        row.Observed is ulong observed ? Hex(observed) : null))];

    private static double Lap(Stopwatch clock)
    {
        double elapsed = Math.Round(clock.Elapsed.TotalMilliseconds, 1);
        clock.Restart();
        return elapsed;
    }

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x16}");
}
