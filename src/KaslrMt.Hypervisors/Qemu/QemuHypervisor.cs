namespace KaslrMt.Hypervisors;

/// <summary>QEMU 7.2 and later.</summary>
internal sealed class QemuHypervisor : IHypervisor
{
    /// <inheritdoc/>
    public IReadOnlyList<IMachineModel> Machines => QemuMachine.All;

    /// <inheritdoc/>
    public IMachineModel Machine(string name) => QemuMachine.Parse(name);

    /// <inheritdoc/>
    public bool IsVersionOf(string type, string name) => QemuMachine.IsVersionOf(type, name);

    /// <inheritdoc/>
    public async Task<IVirtualMachine> StartAsync(MachineDefinition definition, VmFolder folder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(definition);
        ArgumentNullException.ThrowIfNull(folder);
        return await QemuVirtualMachine.StartAsync(definition, folder, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task<IVirtualMachine> RestoreAsync(
        MachineDefinition definition, VmFolder folder, string path, long offset = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(definition);
        ArgumentNullException.ThrowIfNull(folder);
        return await QemuVirtualMachine.RestoreAsync(definition, folder, path, offset, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task<IVirtualMachine?> AttachAsync(
        VmFolder folder, int processId, ulong startTime, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return await QemuVirtualMachine.AttachAsync(folder, processId, startTime, timeout, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public VmEnd ReadEnd(string folder) => QemuEventFile.ReadEnd(folder);

    /// <inheritdoc/>
    public async Task<IVmConnection> OpenAsync(RunningVm vm, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(vm);
        int process = vm.State?.ProcessId ?? throw NotStarted(vm);
        return new QemuConnection(
            await QmpClient.ConnectAsync(VmFolder.MonitorSocketIn(vm.Folder), QmpClient.DefaultTimeout, process, cancellationToken).ConfigureAwait(false), process);
    }

    /// <inheritdoc/>
    public async Task<IGuestInspection> InspectAsync(RunningVm vm, Action? interrupted = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(vm);
        return await QemuGuest.OpenAsync(
            vm.State?.ProcessId ?? throw NotStarted(vm), VmFolder.MonitorSocketIn(vm.Folder), interrupted, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task<IGuestInspection> OpenForeignAsync(
        int processId, string? monitor = null, Action? interrupted = null, CancellationToken cancellationToken = default) =>
        await QemuGuest.OpenAsync(processId, monitor, interrupted, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public string DescribeMonitor(RunningVm vm) => VmFolder.MonitorSocketIn(vm.Folder);

    private static KaslrMtException NotStarted(RunningVm vm) => new(HypervisorErrors.MonitorClosed, $"'{vm.Name}' is starting: it has no monitor yet");
}
