using System.Diagnostics;
using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;
using KaslrMt.Sharing;
using KaslrMt.Vms;

namespace KaslrMt.Lab.Demo;

/// <summary>One VM of the demonstration, and what is seen of it.</summary>
internal sealed class DemoVm : IAsyncDisposable
{
    /// <summary>The kernel's command line, of all VMs of the demonstration.</summary>
    public const string CommandLine = "console=ttyS0 quiet no_timer_check loglevel=1 panic=-1";

    /// <summary>Their RAM.</summary>
    public static readonly ByteSize Memory = new(256 * ByteSize.MiB);

    private readonly ExperimentGuest _guest;
    private bool _ended;

    private DemoVm(ExperimentGuest guest, DemoReport.VmRow report)
    {
        _guest = guest;
        Report = report;
    }

    /// <summary>Gets what was seen.</summary>
    public DemoReport.VmRow Report { get; }

    /// <summary>Gets the kernel's release.</summary>
    public string Release => _guest.Started.Layout!.Kernel.Release;

    /// <summary>Gets the hypervisor's process.</summary>
    public int ProcessId => _guest.ProcessId;

    /// <summary>Gets what the VMs of a kernel are made of.</summary>
    public static GuestRecipe RecipeOf(DemoKernel kernel, string initramfs) => new()
    {
        Name = "demo",
        Kernel = kernel.Image,
        Initrd = initramfs,
        CommandLine = CommandLine,
        Memory = Memory,
    };

    /// <summary>Boots a VM and looks at it from inside and outside. It runs on until disposed.</summary>
    public static async Task<DemoVm> BootAsync(
        DemoKernel kernel, string initramfs, string tenant, TenantKey key, int number, ExperimentHost host, CancellationToken cancellationToken)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"demo-{kernel.Name}-{tenant}-{number}-{Environment.ProcessId}");
        var clock = Stopwatch.StartNew();
        ExperimentGuest guest = await ExperimentGuest
            .StartAsync(RecipeOf(kernel, initramfs) with { Tenant = tenant }, GuestLayout.OfTenant(key, Policy.Default), name, host, cancellationToken).ConfigureAwait(false);
        try
        {
            double start = Lap(clock) - Milliseconds(guest.Started.Placing);
            GuestSelfReport self = await guest.HearAsync(GuestSelfReport.Read, host.BootLimit, cancellationToken).ConfigureAwait(false);
            double boot = Lap(clock);
            LayoutVerification seen = await LayoutVerification.RunAsync(guest.Started.Layout!, guest.Machine, TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
            var times = new DemoReport.StepTimes(Milliseconds(guest.Started.Placing), guest.Started.WasPrepared, Math.Round(start, 1), boot, Lap(clock));
            string label = string.Create(CultureInfo.InvariantCulture, $"VM {number}");
            return new DemoVm(guest, new DemoReport.VmRow(tenant, label, Rows(seen, self), self.ModuleAddress is ulong module ? Hex(module) : null, times));
        }
        catch
        {
            await guest.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Stops its processors for good, and reads its kernel's pages.</summary>
    /// <exception cref="KaslrMtException">KMT50xx; errors of the monitor.</exception>
    public async Task<ProbePages> ReadPagesAsync(CancellationToken cancellationToken)
    {
        await _guest.PauseAsync(cancellationToken).ConfigureAwait(false);
        return ProbePages.ReadKernel(await _guest.OpenKernelAsync(cancellationToken).ConfigureAwait(false));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_ended)
        {
            _ended = true;
            await _guest.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static IReadOnlyList<DemoReport.BaseRow> Rows(LayoutVerification seen, GuestSelfReport self) => [.. seen.Regions.Select(row => new DemoReport.BaseRow(
        row.Region.Name(),
        row.Scope.Name(),
        Hex(row.Intended),
        self.Bases.TryGetValue(row.Region, out ulong own) ? Hex(own) : null,
        row.Observed is ulong observed ? Hex(observed) : null))];

    private static double Lap(Stopwatch clock)
    {
        double elapsed = Milliseconds(clock.Elapsed);
        clock.Restart();
        return elapsed;
    }

    private static double Milliseconds(TimeSpan time) => Math.Round(time.TotalMilliseconds, 1);

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x16}");
}
