using KaslrMt.Hypervisors;

namespace KaslrMt.Vms;

/// <summary>Checks the specification of a VM that comes from another host as a caller's would be: before anything is started.</summary>
internal static class IncomingCheck
{
    /// <summary>Says why a VM cannot be taken.</summary>
    /// <param name="spec">The specification that came; hostile input.</param>
    /// <returns>One clause, or null where the VM may come.</returns>
    public static string? Problem(VmSpec spec)
    {
        if (!VmName.IsLegal(spec.Name))
        {
            return "its name is not one that a VM may have";
        }

        // A program that another host names is not run; this host's own is.
        if (spec.Program != MachineDefinition.DefaultProgram)
        {
            return $"it asks for the program '{Printable.Of(spec.Program, 200)}', and this host runs {MachineDefinition.DefaultProgram} only";
        }

        if (spec.Console is not (VmSpec.SocketConsole or VmSpec.NoConsole) && !File.Exists(spec.Console))
        {
            return $"its console goes to {Printable.Of(spec.Console, 200)}, and this host has no such file";
        }

        try
        {
            _ = spec.UserArguments;
            _ = Hypervisor.Default.Machine(spec.Machine);
        }
        catch (KaslrMtException refused)
        {
            return $"{refused.Code}: {refused.Problem}";
        }

        ulong memory = (ulong)GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return spec.Memory > memory
            ? $"it has {new ByteSize(spec.Memory)} of memory, more than the {memory / ByteSize.MiB} MiB of this host"
            : null;
    }
}
