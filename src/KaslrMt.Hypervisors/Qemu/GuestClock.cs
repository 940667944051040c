using System.Globalization;
using System.Runtime.Intrinsics.X86;

namespace KaslrMt.Hypervisors;

/// <summary>What a microvm under TCG must be told to boot and reboot reliably.</summary>
/// <remarks>
/// A microvm with ACPI is "hardware-reduced": the kernel leaves the PIT alone and finds neither HPET nor PM timer, so without kvm-clock it
/// has nothing to calibrate its TSC and local APIC timer with, and some boots hang there (seen on 6.1 under QEMU 7.2). The TSC that TCG
/// shows is the host's, so its frequency can be given. The default ways to reboot hang now and then, with ACPI and without (4 of 14 tries
/// without, on 6.1); a triple fault did not in 54.
/// </remarks>
internal static class GuestClock
{
    /// <summary>The guest's command line with what it lacks; the user's own choice of the same parameters stands.</summary>
    internal static string? Complete(string? commandLine, IMachineModel model, AcceleratorChoice accelerator, Func<long?> hostTscKilohertz)
    {
        if (model is not QemuMachine { NeedsRebootHelp: true } machine || accelerator.Kind != Accelerator.Tcg)
        {
            return commandLine;
        }

        List<string> words = [];
        string[] given = (commandLine ?? "").Split(' ');
        if (machine.NeedsClockHelp && !given.Any(word => word.StartsWith("tsc_early_khz=", StringComparison.Ordinal))
            && hostTscKilohertz() is { } kilohertz)
        {
            words.Add(string.Create(CultureInfo.InvariantCulture, $"tsc_early_khz={kilohertz}"));
        }

        if (!given.Any(word => word.StartsWith("reboot=", StringComparison.Ordinal)))
        {
            words.Add("reboot=t");
        }

        // In front: what follows a "--" on a kernel command line is init's.
        return string.Join(' ', string.IsNullOrEmpty(commandLine) ? words : words.Append(commandLine));
    }

    /// <summary>The host's TSC frequency: CPUID leaf 0x15 where the processor fills it, else the nominal clock the kernel shows.</summary>
    internal static long? HostTscKilohertz()
    {
        if (X86Base.IsSupported && X86Base.CpuId(0, 0).Eax >= 0x15)
        {
            (int denominator, int numerator, int crystalHertz, _) = X86Base.CpuId(0x15, 0);
            if (denominator > 0 && numerator > 0 && crystalHertz > 0)
            {
                return (long)crystalHertz * numerator / denominator / 1000;
            }
        }

        string? line = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("cpu MHz", StringComparison.Ordinal));
        return double.TryParse(line?[(line.IndexOf(':') + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out double megahertz) && megahertz is > 1 and < 100_000
            ? (long)(megahertz * 1000)
            : null;
    }
}
