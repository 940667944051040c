namespace KaslrMt.Hypervisors;

/// <summary>A machine type whose memory map is known before a VM starts.</summary>
public interface IMachineModel
{
    /// <summary>Gets the name, as a user writes it and as the hypervisor takes it: <c>pc</c>, <c>q35</c>, <c>microvm</c>, <c>microvm,acpi=off</c>.</summary>
    string Argument { get; }

    /// <summary>Gets whether firmware works in high memory before the kernel is entered: <see cref="GuestRam.Overwritten"/> is then not null.</summary>
    bool HasFirmwareMemory { get; }

    /// <summary>Returns the command line with what a guest on this machine lacks to boot and reboot reliably; the user's own choice of the same parameters stands.</summary>
    /// <param name="commandLine">The guest's command line.</param>
    /// <param name="accelerator">What executes the guest.</param>
    string CompleteCommandLine(string commandLine, AcceleratorChoice accelerator);

    /// <summary>Returns where a VM's RAM lies, and what of it the hypervisor and the firmware keep.</summary>
    /// <param name="memory">RAM: whole MiB, <see cref="GuestRam.Smallest"/> to <see cref="GuestRam.Largest"/>.</param>
    /// <param name="initrdSize">The initrd's size in bytes; 0 for none.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.MemorySize"/>; <see cref="HypervisorErrors.InitrdTooLarge"/> when the hypervisor would refuse the initrd.
    /// </exception>
    GuestRam PlaceMemory(ByteSize memory, ulong initrdSize);

    /// <summary>Returns the runs of guest-physical addresses that so much RAM takes, ascending. Any size is taken: a dump's is not checked.</summary>
    /// <param name="bytes">The size of RAM in bytes.</param>
    IEnumerable<PhysicalRange> Place(ulong bytes);
}
