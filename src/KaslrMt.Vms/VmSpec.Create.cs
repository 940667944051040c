using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Vms;

public sealed partial record VmSpec
{
    private const ulong DefaultMemory = 512 * ByteSize.MiB;
    private const int MostCpus = 255;

    /// <summary>
    /// Describes a VM as <c>kaslrmt run</c> does where it is told nothing else: 512 MiB, one processor, <c>q35</c>, KVM where it can work, no console, the standard
    /// policy, verified after each boot. Change what is to be different with <c>with</c>.
    /// </summary>
    /// <param name="name">The VM's name (<see cref="VmName"/>).</param>
    /// <param name="kernel">The path of the tenant's kernel.</param>
    /// <param name="initrd">The path of the initrd, or null.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.NameInvalid"/>.</exception>
    public static VmSpec Create(string name, string kernel, string? initrd = null)
    {
        AcceleratorChoice accelerator = AcceleratorChoice.Decide(Accelerator.Auto);
        return new VmSpec
        {
            Version = CurrentVersion,
            Name = VmName.Check(name),
            Kernel = Path.GetFullPath(kernel),
            Initrd = initrd is null ? null : Path.GetFullPath(initrd),
            CommandLine = "",
            Memory = DefaultMemory,
            Machine = "q35",
            Policy = Layout.Policy.Default.ToString(),
            Producer = AddressProducers.Default.Name,
            ModuleAddresses = ModuleAddressesSetting.Text(Kernels.ModuleAddresses.ByOrder),
            Cpus = 1,
            Accelerator = accelerator.Kind,
            AcceleratorReason = accelerator.Reason,
            Console = NoConsole,
            HypervisorArguments = [],
            Program = MachineDefinition.DefaultProgram,
            FallBackToStock = false,
            Verify = true,
            UseCache = true,
            WorkingDirectory = Environment.CurrentDirectory,
        };
    }

    /// <summary>Refuses what no VM can be, before anything is started.</summary>
    /// <param name="secrets">The secrets that the VM is to start with.</param>
    /// <exception cref="KaslrMtException">The name, the memory, the processors, a path, the tenant or its key is not as it must be.</exception>
    internal void Check(VmSecrets secrets)
    {
        _ = VmName.Check(Name);
        _ = UserArguments;
        if (Memory == 0 || Memory % ByteSize.MiB != 0)
        {
            throw Invalid($"{Memory} bytes are not a VM's memory", "give whole MiB");
        }

        if (Cpus is < 1 or > MostCpus)
        {
            throw Invalid($"it has {Cpus} processors", $"give 1 to {MostCpus}");
        }

        foreach (string? path in (string?[])[Kernel, Initrd, WorkingDirectory])
        {
            if (path is not (null or ['/', ..]))
            {
                throw Invalid($"the path {Printable.Of(path, 200)} is not absolute", "give an absolute path (Path.GetFullPath)");
            }
        }

        if (Table is not null && (Tenant is null || secrets.Key is not null))
        {
            throw Invalid("it is in a tenant table, which gives the key by the tenant's name", "give a tenant and no key, or no table");
        }
    }

    private KaslrMtException Invalid(string problem, string remedy) => new(VmErrors.SpecInvalid, $"VM '{Printable.Of(Name, 80)}': {problem}", remedy);
}
