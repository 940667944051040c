using System.Diagnostics;
using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests.Running;

/// <summary>A guest that nobody prepared: plain QEMU (TCG) with a distribution's kernel as it is, which moves itself.</summary>
internal sealed class StockGuest : IAsyncDisposable
{
    private static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(120);
    private static int _count;

    private readonly Process _qemu;
    private readonly string _console;

    private StockGuest(HostFolder scratch, string kernel, bool monitor, string append, string then, string[] arguments)
    {
        int number = Interlocked.Increment(ref _count);
        _console = scratch.At($"stock{number}.console");
        MonitorSocket = scratch.At($"stock{number}.qmp");
        string initrd = GuestInit.WriteTo(scratch.At($"stock{number}.initrd"), kernel, then);
        string[] all =
        [
            "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none", "-serial", $"file:{_console}",
            "-kernel", TestKernels.Image(kernel), "-initrd", initrd, "-append", $"console=ttyS0 quiet no_timer_check {append}".TrimEnd(),
            .. monitor ? ["-qmp", $"unix:{MonitorSocket},server=on,wait=off"] : Array.Empty<string>(),
            .. arguments,
        ];
        _qemu = Process.Start(new ProcessStartInfo("qemu-system-x86_64", all) { RedirectStandardError = true })!;
    }

    /// <summary>QEMU.</summary>
    internal int ProcessId => _qemu.Id;

    /// <summary>Its monitor's socket, where it has one.</summary>
    internal string MonitorSocket { get; }

    /// <summary>What the guest says of itself.</summary>
    internal GuestView View => GuestView.Parse(File.ReadAllText(_console));

    /// <summary>Starts one and waits until it has printed its view.</summary>
    /// <param name="scratch">The test's folder.</param>
    /// <param name="kernel">The kernel's folder.</param>
    /// <param name="monitor">Whether it has a QMP socket.</param>
    /// <param name="append">Further words for its command line.</param>
    /// <param name="then">What init does in the end.</param>
    /// <param name="arguments">QEMU's further arguments: machine, processor, memory.</param>
    internal static async Task<StockGuest> StartAsync(
        HostFolder scratch, string kernel, bool monitor, string append = "", string then = "sleep 100000", params string[] arguments)
    {
        StockGuest guest = new(scratch, kernel, monitor, append, then, arguments);
        long start = Environment.TickCount64;
        while (!File.Exists(guest._console) || !(await File.ReadAllTextAsync(guest._console)).Contains(GuestInit.End + "\r\n", StringComparison.Ordinal))
        {
            if (guest._qemu.HasExited || Environment.TickCount64 - start > BootLimit.TotalMilliseconds)
            {
                string words = guest._qemu.HasExited ? await guest._qemu.StandardError.ReadToEndAsync() : "";
                await guest.DisposeAsync();
                Assert.Fail($"{kernel} {string.Join(' ', arguments)}: no view ({words})");
            }

            await Task.Delay(20);
        }

        return guest;
    }

    /// <summary>Opens its memory as <c>--pid</c> does.</summary>
    internal Task<QemuGuest> OpenAsync() => QemuGuest.OpenAsync(ProcessId, null, null);

    /// <summary>Ends it at once.</summary>
    internal void Kill() => _qemu.Kill();

    /// <summary>Ends it.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_qemu.HasExited)
        {
            _qemu.Kill();
        }

        await _qemu.WaitForExitAsync();
        _qemu.Dispose();
    }
}
