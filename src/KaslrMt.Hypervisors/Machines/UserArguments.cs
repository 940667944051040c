using System.Collections.Frozen;

namespace KaslrMt.Hypervisors;

/// <summary>The user's own QEMU arguments, passed on as they are, in the end. Those that would take the VM out of our hands are refused.</summary>
public sealed class UserArguments
{
    private static readonly FrozenDictionary<string, string> Refused = new Dictionary<string, string>
    {
        ["daemonize"] = "the VM must end with its owner",
        ["runas"] = "the VM must end with its owner, which changing the user undoes",
        ["run-with"] = "the VM must end with its owner, which changing the user undoes",
        ["pidfile"] = "the pid file is how leftovers are recognized",
        ["kernel"] = "give --kernel before the '--'",
        ["initrd"] = "give --initrd before the '--'",
        ["append"] = "give --append before the '--'",
        ["m"] = "give --memory before the '--'",
        ["M"] = "give --machine before the '--'",
        ["machine"] = "give --machine before the '--'",
        ["smp"] = "give --cpus before the '--'",
        ["accel"] = "give --accel before the '--'",
        ["enable-kvm"] = "give --accel kvm before the '--'",
        ["readconfig"] = "it could hold any of the refused arguments",
        ["incoming"] = "a VM that comes from elsewhere has its layout already",
        ["loadvm"] = "a VM restored from a snapshot has its layout already",
        ["preconfig"] = "the VM would wait for its configuration for ever",
        ["no-shutdown"] = "the VM must end when its guest powers off",
        ["action"] = "what a reboot and a shutdown do is part of owning the VM; -no-reboot is taken",
    }.ToFrozenDictionary();

    private UserArguments(IReadOnlyList<string> all, bool setsCpu, bool rebootEnds, bool staysPaused)
    {
        All = all;
        SetsCpu = setsCpu;
        RebootEnds = rebootEnds;
        StaysPaused = staysPaused;
    }

    /// <summary>No arguments.</summary>
    public static UserArguments None { get; } = Parse([]);

    /// <summary>All of them, as given.</summary>
    public IReadOnlyList<string> All { get; }

    /// <summary>Whether the user chose the CPU model.</summary>
    public bool SetsCpu { get; }

    /// <summary>Whether the user gave <c>-no-reboot</c>: a guest's reboot ends the VM for good.</summary>
    public bool RebootEnds { get; }

    /// <summary>Whether the user gave <c>-S</c>: the guest waits until somebody tells the monitor <c>cont</c>.</summary>
    public bool StaysPaused { get; }

    /// <summary>Checks the arguments.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.ArgumentRefused"/>, naming the argument and the reason.</exception>
    public static UserArguments Parse(IReadOnlyList<string> arguments)
    {
        bool setsCpu = false, rebootEnds = false, staysPaused = false;
        foreach (string argument in arguments)
        {
            if (argument.Contains('\0'))
            {
                throw new KaslrMtException(HypervisorErrors.ArgumentRefused, $"the QEMU argument '{Printable.Of(argument)}' holds a NUL character");
            }

            // QEMU takes one dash or two, and no abbreviations (softmmu/vl.c, lookup_opt).
            string name = argument.StartsWith("--", StringComparison.Ordinal) ? argument[2..]
                : argument.StartsWith('-') ? argument[1..] : "";
            if (Refused.TryGetValue(name, out string? reason))
            {
                throw new KaslrMtException(HypervisorErrors.ArgumentRefused, $"the QEMU argument '{argument}' is not taken", reason);
            }

            setsCpu |= name == "cpu";
            rebootEnds |= name == "no-reboot";
            staysPaused |= name == "S";
        }

        return new UserArguments([.. arguments], setsCpu, rebootEnds, staysPaused);
    }
}
