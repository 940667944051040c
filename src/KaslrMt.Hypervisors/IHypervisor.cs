namespace KaslrMt.Hypervisors;

/// <summary>A program that runs VMs. All other projects start, adopt and look at VMs through this interface.</summary>
/// <remarks>An implementation has no state of its own and may be used by several threads at once.</remarks>
public interface IHypervisor
{
    /// <summary>Gets the machine types whose memory maps are known.</summary>
    IReadOnlyList<IMachineModel> Machines { get; }

    /// <summary>Returns the machine type of a name.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.SettingInvalid"/> when no machine type has this name.</exception>
    IMachineModel Machine(string name);

    /// <summary>Returns whether a machine type is another one with its version named: <c>pc-q35-7.2</c> is a version of <c>q35</c>.</summary>
    bool IsVersionOf(string type, string name);

    /// <summary>Starts a VM, and returns once the hypervisor has read the kernel and the initrd into the VM's memory.</summary>
    /// <param name="definition">What is to be built.</param>
    /// <param name="folder">The VM's folder, claimed.</param>
    /// <param name="cancellationToken">Gives up and ends the VM.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.ProgramMissing"/>; <see cref="HypervisorErrors.VmDied"/> with the hypervisor's last words;
    /// <see cref="HypervisorErrors.MonitorTimeout"/>; <see cref="HypervisorErrors.FileUnreadable"/>; <see cref="HypervisorErrors.SettingInvalid"/>.
    /// </exception>
    Task<IVirtualMachine> StartAsync(MachineDefinition definition, VmFolder folder, CancellationToken cancellationToken = default);

    /// <summary>Starts a VM and puts a saved guest into it.</summary>
    /// <param name="definition">As the guest was saved with; kernel, initrd and command line are not needed.</param>
    /// <param name="folder">The VM's folder, claimed.</param>
    /// <param name="path">The saved state. The file stays: whoever restores it twice has the same guest twice.</param>
    /// <param name="offset">Where in the file the state begins, in bytes: behind the preface.</param>
    /// <param name="cancellationToken">Gives up and ends the VM.</param>
    /// <returns>The VM, running unless <see cref="MachineDefinition.StartPaused"/>.</returns>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.FileUnreadable"/>; <see cref="HypervisorErrors.ArrivalFailed"/>: the file is cut off, or of another VM; as <see cref="StartAsync"/>.
    /// </exception>
    Task<IVirtualMachine> RestoreAsync(MachineDefinition definition, VmFolder folder, string path, long offset = 0, CancellationToken cancellationToken = default);

    /// <summary>Takes over a VM that outlived its owner.</summary>
    /// <param name="folder">The VM's folder, adopted.</param>
    /// <param name="processId">The VM's process, as its state names it.</param>
    /// <param name="startTime">When that process started, as the state names it.</param>
    /// <param name="timeout">How long the monitor may take to answer.</param>
    /// <param name="cancellationToken">Gives up; the VM goes on.</param>
    /// <returns>The VM, or null when its process is gone: <see cref="ReadEnd"/> then tells why.</returns>
    /// <exception cref="KaslrMtException">The monitor does not answer, or is none. The VM goes on.</exception>
    Task<IVirtualMachine?> AttachAsync(VmFolder folder, int processId, ulong startTime, TimeSpan timeout, CancellationToken cancellationToken = default);

    /// <summary>Returns why the VM that ran last in a folder ended, as the hypervisor itself wrote it down: no owner needs to have lived then.</summary>
    /// <param name="folder">The VM's folder.</param>
    /// <returns>
    /// The reason; <see cref="ShutdownReason.Unexplained"/> while the VM runs, and when it ended without a word: it was killed or crashed, or its disk was full.
    /// </returns>
    VmEnd ReadEnd(string folder);

    /// <summary>Connects to a VM that another process owns.</summary>
    /// <param name="vm">The VM.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.MonitorClosed"/> when the VM is starting or ending; <see cref="HypervisorErrors.MonitorTimeout"/>; <see cref="HypervisorErrors.MonitorGarbage"/>.
    /// </exception>
    Task<IVmConnection> OpenAsync(RunningVm vm, CancellationToken cancellationToken = default);

    /// <summary>Opens the guest of a VM that another process owns, for reading.</summary>
    /// <param name="vm">The VM.</param>
    /// <param name="interrupted">
    /// Null to leave the guest running. Else the guest stands still until the result is disposed, or a signal asks this process to end: the guest then
    /// goes on, and this is called.
    /// </param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">As <see cref="OpenAsync"/>; errors of the guest's memory.</exception>
    Task<IGuestInspection> InspectAsync(RunningVm vm, Action? interrupted = null, CancellationToken cancellationToken = default);

    /// <summary>Opens the guest of a hypervisor's process that anybody started, for reading.</summary>
    /// <param name="processId">The process.</param>
    /// <param name="monitor">Its monitor's socket; null for the socket that the process's command line names, if it answers.</param>
    /// <param name="interrupted">As for <see cref="InspectAsync"/>.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.NoQemu"/>; <see cref="HypervisorErrors.RamNotFound"/>; <see cref="HypervisorErrors.MonitorClosed"/> when the guest is to stand
    /// still and has no monitor; errors of monitor and memory.
    /// </exception>
    Task<IGuestInspection> OpenForeignAsync(int processId, string? monitor = null, Action? interrupted = null, CancellationToken cancellationToken = default);

    /// <summary>Returns how a person reaches the hypervisor's own monitor of a VM: text to show, not to parse.</summary>
    string DescribeMonitor(RunningVm vm);
}
