namespace KaslrMt.Hypervisors;

/// <summary>A running VM's RAM, to be read and written from outside.</summary>
internal interface IGuestRamAccess : IDisposable
{
    /// <summary>Reads RAM.</summary>
    /// <returns>False when the run is not RAM from end to end.</returns>
    /// <exception cref="KaslrMtException">The VM has ended, or the host refuses.</exception>
    bool TryRead(PhysicalAddress address, Span<byte> destination);

    /// <summary>Writes RAM.</summary>
    /// <exception cref="KaslrMtException"><see cref="Guests.GuestErrors.NotRam"/>: the run is not RAM from end to end, and nothing was written; the VM has ended, or the host refuses.</exception>
    void Write(PhysicalAddress address, ReadOnlySpan<byte> bytes);
}
