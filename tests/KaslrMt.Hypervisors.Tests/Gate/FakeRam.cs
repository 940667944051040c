using KaslrMt.Guests;

namespace KaslrMt.Hypervisors.Tests.Gate;

/// <summary>Guest RAM in this process, which remembers each write and can be made to fail.</summary>
internal sealed class FakeRam : IGuestRamAccess
{
    private readonly (PhysicalRange Range, byte[] Bytes)[] _runs;

    internal FakeRam(params PhysicalRange[] ranges) => _runs = [.. ranges.Select(range => (range, new byte[range.Length]))];

    /// <summary>What was written, in order; not what was refused.</summary>
    internal List<PhysicalRange> Writes { get; } = [];

    /// <summary>How many writes succeed before one fails.</summary>
    internal int Allowed { get; set; } = int.MaxValue;

    public bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        if (!TryFind(address, destination.Length, out Span<byte> bytes))
        {
            return false;
        }

        bytes.CopyTo(destination);
        return true;
    }

    public void Write(PhysicalAddress address, ReadOnlySpan<byte> bytes)
    {
        if (!TryFind(address, bytes.Length, out Span<byte> destination))
        {
            throw new KaslrMtException(GuestErrors.NotRam, "not RAM");
        }

        if (Writes.Count == Allowed)
        {
            throw new KaslrMtException(GuestErrors.GuestGone, "gone");
        }

        Writes.Add(new PhysicalRange(address, (ulong)bytes.Length));
        bytes.CopyTo(destination);
    }

    public void Dispose()
    {
    }

    /// <summary>Puts bytes there as the guest would: nobody remembers.</summary>
    internal void Put(ulong address, ReadOnlySpan<byte> bytes) => bytes.CopyTo(Bytes(address, bytes.Length));

    /// <summary>The bytes there; they must be RAM.</summary>
    internal Span<byte> Bytes(ulong address, int length) =>
        TryFind(new PhysicalAddress(address), length, out Span<byte> bytes) ? bytes : throw new InvalidOperationException($"0x{address:x} is no RAM");

    private bool TryFind(PhysicalAddress address, int length, out Span<byte> bytes)
    {
        foreach ((PhysicalRange range, byte[] all) in _runs)
        {
            if (range.Contains(address, (ulong)length))
            {
                bytes = all.AsSpan((int)(address - range.Start), length);
                return true;
            }
        }

        bytes = default;
        return false;
    }
}
