namespace KaslrMt.Sharing;

/// <summary>What some VMs cost the host in memory, all in. Bytes, for all of them together.</summary>
/// <param name="Vms">The number of VMs.</param>
/// <param name="GuestRam">What is held for their RAM, each page shared out among those that have it.</param>
/// <param name="Hypervisors">What their hypervisors hold for themselves, without translated code.</param>
/// <param name="Files">Files in memory that exist for these VMs: images that a hypervisor keeps mapped, prepared kernels in a file system in memory.</param>
/// <param name="Program">What the processes of this program hold.</param>
/// <param name="TranslatedCode">What is left out of the sum: TCG's translated code, which a host with KVM does not have.</param>
public sealed record HostCost(int Vms, long GuestRam, long Hypervisors, long Files, long Program, long TranslatedCode)
{
    /// <summary>Gets all of it but translated code.</summary>
    public long Total => GuestRam + Hypervisors + Files + Program;

    /// <summary>Gets the same for each VM.</summary>
    public long PerVm => Vms > 0 ? Total / Vms : 0;

    /// <summary>Reads what VMs cost.</summary>
    /// <param name="hypervisors">The VMs' hypervisor processes.</param>
    /// <param name="files">What this program keeps in files for them (<see cref="FilesIn"/>).</param>
    /// <param name="program">What the processes of this program hold.</param>
    public static HostCost Read(IReadOnlyCollection<int> hypervisors, long files, long program)
    {
        ArgumentNullException.ThrowIfNull(hypervisors);
        return Of([.. hypervisors.Select(ProcessMemory.Read).OfType<ProcessMemory>()], files, program);
    }

    /// <summary>Returns what the files of a folder hold of the host's memory: nothing where the folder does not lie in a file system in memory (tmpfs).</summary>
    public static long FilesIn(string folder) => MemoryFolder.IsInMemory(folder) ? MemoryFolder.SizeOf(folder) : 0;

    /// <summary>Sums what was read of each process; a file that several have mapped counts once.</summary>
    internal static HostCost Of(IReadOnlyCollection<ProcessMemory> processes, long files, long program) => new(
        processes.Count,
        processes.Sum(one => one.GuestRam),
        processes.Sum(one => one.Own),
        files + processes.SelectMany(one => one.RemovedFiles).GroupBy(file => file.Key).Sum(file => file.Max(one => one.Value)),
        program,
        processes.Sum(one => one.TranslatedCode));
}
