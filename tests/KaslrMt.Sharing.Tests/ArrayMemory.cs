using KaslrMt.Guests;

namespace KaslrMt.Sharing.Tests;

/// <summary>A guest's RAM in an array.</summary>
internal sealed class ArrayMemory(byte[] ram) : IGuestMemory
{
    public IReadOnlyList<PhysicalRange> Ranges => [new(new PhysicalAddress(0), (ulong)ram.Length)];

    /// <summary>Whether the guest has ended.</summary>
    public bool Gone { get; init; }

    public void Read(PhysicalAddress address, Span<byte> destination)
    {
        if (!TryRead(address, destination))
        {
            throw new KaslrMtException(GuestErrors.NotRam, "outside");
        }
    }

    public bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        if (Gone)
        {
            throw new KaslrMtException(GuestErrors.GuestGone, "ended");
        }

        if (address.Value > (ulong)ram.Length || (ulong)destination.Length > (ulong)ram.Length - address.Value)
        {
            return false;
        }

        ram.AsSpan((int)address.Value, destination.Length).CopyTo(destination);
        return true;
    }

    public void Dispose()
    {
        // An array needs no release.
    }
}
