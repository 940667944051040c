using KaslrMt.Guests;

namespace KaslrMt.HashBench;

/// <summary>RAM that lies in this process, so that the host's calls are no part of the figure.</summary>
internal sealed class HeldMemory(byte[] bytes) : IGuestMemory
{
    public IReadOnlyList<PhysicalRange> Ranges { get; } = [PhysicalRange.Between(0, (ulong)bytes.Length)];

    public void Read(PhysicalAddress address, Span<byte> destination) => bytes.AsSpan((int)address.Value, destination.Length).CopyTo(destination);

    public bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        Read(address, destination);
        return true;
    }

    public void Dispose()
    {
        // The array is the collector's.
    }
}
