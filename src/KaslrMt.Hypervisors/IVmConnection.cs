using KaslrMt.Guests;

namespace KaslrMt.Hypervisors;

/// <summary>A connection to a running VM. Disposing a connection leaves the VM as it is.</summary>
/// <remarks>
/// Every method throws <see cref="KaslrMtException"/> with <see cref="HypervisorErrors.MonitorClosed"/> when the VM has ended,
/// <see cref="HypervisorErrors.MonitorTimeout"/> when its monitor hangs and <see cref="HypervisorErrors.MonitorRefused"/> in the monitor's words.
/// </remarks>
public interface IVmConnection : IAsyncDisposable
{
    /// <summary>Gets the id of the VM's process.</summary>
    int ProcessId { get; }

    /// <summary>Returns the VM's state: <c>running</c>, <c>paused</c>, <c>prelaunch</c>, <c>inmigrate</c>, <c>postmigrate</c>, …</summary>
    Task<string> StatusAsync(CancellationToken cancellationToken = default);

    /// <summary>Returns the machine type as the hypervisor runs it, with its version where it has one: <c>pc-q35-7.2</c> where <c>q35</c> was asked for.</summary>
    Task<string> MachineTypeAsync(CancellationToken cancellationToken = default);

    /// <summary>Stops the VM's processors: its memory stands still from then on.</summary>
    Task PauseAsync(CancellationToken cancellationToken = default);

    /// <summary>Lets the VM's processors run.</summary>
    Task ContinueAsync(CancellationToken cancellationToken = default);

    /// <summary>Asks the guest to power off, and does not wait until it has.</summary>
    Task RequestPowerOffAsync(CancellationToken cancellationToken = default);

    /// <summary>Ends the VM at once, and does not wait until it has ended.</summary>
    Task QuitAsync(CancellationToken cancellationToken = default);

    /// <summary>Opens the guest's memory for reading. It may be read for as long as the VM runs; this connection is not needed for it.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.MemoryMap"/>; <see cref="GuestErrors.GuestGone"/>.</exception>
    Task<IGuestMemory> OpenMemoryAsync(CancellationToken cancellationToken = default);

    /// <summary>Returns what a processor of the VM tells about its kernel's page tables; nothing before it uses any.</summary>
    Task<KernelHints> ReadHintsAsync(CancellationToken cancellationToken = default);

    /// <summary>Returns a processor's CR3: the guest-physical address of its top page table, and flags.</summary>
    Task<ulong> ReadCr3Async(CancellationToken cancellationToken = default);
}
