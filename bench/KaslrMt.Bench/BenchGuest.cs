using System.Diagnostics;
using System.Globalization;
using KaslrMt.Hypervisors;

namespace KaslrMt.Bench;

/// <summary>A guest that has booted to its init, and its RAM. It ends when disposed.</summary>
internal sealed class BenchGuest : IAsyncDisposable
{
    private const string Mark = "KASLRMT-INIT";

    private readonly string _folder;
    private readonly Process _qemu;

    private BenchGuest(string folder, Process qemu, QmpClient monitor, QemuMemory memory)
    {
        _folder = folder;
        _qemu = qemu;
        Monitor = monitor;
        Memory = memory;
    }

    /// <summary>What an init does first to hold a file in memory: its pages differ from each other, and are the same in all guests.</summary>
    public static string WithFile(int mebibytes)
    {
        long bytes = (long)mebibytes << 20;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"mkdir -p /full; mount -t tmpfs -o size={mebibytes + 1}m none /full; seq 1 100000000 | head -c {bytes} > /full/file; [ $(stat -c %s /full/file) = {bytes} ] || poweroff -f; ");
    }

    public int ProcessId => _qemu.Id;

    public QmpClient Monitor { get; }

    public QemuMemory Memory { get; }

    /// <summary>Boots one.</summary>
    /// <param name="kernel">The kernel's name in the cache.</param>
    /// <param name="mebibytes">RAM.</param>
    /// <param name="before">What its init does first; ends with a semicolon.</param>
    /// <param name="parameters">More for the kernel's command line.</param>
    public static async Task<BenchGuest> StartAsync(string kernel, int mebibytes, string before = "", string parameters = "")
    {
        string folder = BenchKernel.MemoryFolder(), socket = Path.Combine(folder, "qmp");
        Process? qemu = null;
        try
        {
            string initrd = Initramfs.BuildTo(Path.Combine(folder, "initrd"), $"{before}echo {Mark}; sleep 100000");
            string[] arguments =
            [
                "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", $"{mebibytes}M", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
                "-kernel", TestKernels.Image(kernel), "-initrd", initrd, "-append", $"console=ttyS0 quiet no_timer_check {parameters}", "-qmp", $"unix:{socket},server=on,wait=off",
            ];
            qemu = Process.Start(new ProcessStartInfo("qemu-system-x86_64", arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
            while (await qemu.StandardOutput.ReadLineAsync() is string line)
            {
                if (line.Contains(Mark, StringComparison.Ordinal))
                {
                    QmpClient monitor = await QmpClient.ConnectAsync(socket, QmpClient.DefaultTimeout);
                    return new BenchGuest(folder, qemu, monitor, await QemuMemory.OpenAsync(monitor, qemu.Id));
                }
            }

            throw new InvalidOperationException($"{kernel} ended before init ran");
        }
        catch
        {
            await EndAsync(qemu, folder);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Memory.Dispose();
        await Monitor.DisposeAsync();
        await EndAsync(_qemu, _folder);
    }

    private static async Task EndAsync(Process? qemu, string folder)
    {
        if (qemu is not null)
        {
            qemu.Kill();
            await qemu.WaitForExitAsync();
            qemu.Dispose();
        }

        Directory.Delete(folder, recursive: true);
    }
}
