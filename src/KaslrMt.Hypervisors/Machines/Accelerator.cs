namespace KaslrMt.Hypervisors;

/// <summary>What executes the guest's instructions, as asked for with <c>--accel</c>.</summary>
public enum Accelerator
{
    /// <summary>KVM where it can work, else TCG.</summary>
    Auto,

    /// <summary>QEMU's translator; works everywhere.</summary>
    Tcg,

    /// <summary>The processor, through <c>/dev/kvm</c>.</summary>
    Kvm,
}

/// <summary>The accelerator a VM gets, and why.</summary>
/// <param name="Kind"><see cref="Accelerator.Tcg"/> or <see cref="Accelerator.Kvm"/>.</param>
/// <param name="Reason">One clause for the operator.</param>
public sealed record AcceleratorChoice(Accelerator Kind, string Reason)
{
    /// <summary>QEMU's name for it.</summary>
    public string Argument => Kind == Accelerator.Kvm ? "kvm" : "tcg";

    /// <summary>The CPU model that gives the guest all the accelerator has.</summary>
    public string CpuModel => Kind == Accelerator.Kvm ? "host" : "max";

    /// <summary>Decides on this machine.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.KvmUnavailable"/> when KVM was demanded and cannot work.</exception>
    public static AcceleratorChoice Decide(Accelerator asked) => Decide(asked, "/dev/kvm", "/proc/cpuinfo");

    /// <summary>Parses <c>auto</c>, <c>tcg</c> or <c>kvm</c>.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.SettingInvalid"/> when it is none of them.</exception>
    public static Accelerator Parse(string text) => text switch
    {
        "auto" => Accelerator.Auto,
        "tcg" => Accelerator.Tcg,
        "kvm" => Accelerator.Kvm,
        _ => throw new KaslrMtException(
            HypervisorErrors.SettingInvalid, $"unknown accelerator '{Printable.Of(text)}'", "give one of auto | tcg | kvm"),
    };

    internal static AcceleratorChoice Decide(Accelerator asked, string device, string cpuInfo)
    {
        if (asked == Accelerator.Tcg)
        {
            return new(Accelerator.Tcg, "asked for");
        }

        string? obstacle = KvmObstacle(device, cpuInfo);
        return (asked, obstacle) switch
        {
            (Accelerator.Kvm, null) => new(Accelerator.Kvm, "asked for"),
            (_, null) => new(Accelerator.Kvm, $"{device} opens and the processor has vmx or svm"),
            (Accelerator.Auto, _) => new(Accelerator.Tcg, $"no KVM: {obstacle}"),
            _ => throw new KaslrMtException(
                HypervisorErrors.KvmUnavailable, $"KVM cannot work here: {obstacle}", "use --accel tcg, or auto"),
        };
    }

    // A /dev/kvm without vmx or svm is an emulation that opens and then fails on instructions a kernel needs (cmpxchg16b).
    private static string? KvmObstacle(string device, string cpuInfo)
    {
        if (!File.Exists(device))
        {
            return $"{device} does not exist";
        }

        try
        {
            using FileStream kvm = new(device, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        }
        catch (UnauthorizedAccessException)
        {
            return $"{device} may not be opened by this user";
        }
        catch (IOException e)
        {
            return $"{device} does not open ({Printable.Of(e.Message, 80)})";
        }

        string? flags = File.ReadLines(cpuInfo).FirstOrDefault(line => line.StartsWith("flags", StringComparison.Ordinal));
        bool virtualizes = flags is not null && flags.Split(' ', '\t').Any(flag => flag is "vmx" or "svm");
        return virtualizes ? null : $"{device} is there, but the processor has neither vmx nor svm";
    }
}
