namespace KaslrMt.Guests;

/// <summary>The physical RAM of a guest, readable while the guest runs: a live VM's, a dump's, or a test's.</summary>
/// <remarks>
/// A running guest changes its memory between two reads, and even within one. Implementations may be used by several threads at once,
/// except <see cref="IDisposable.Dispose"/>.
/// </remarks>
public interface IGuestMemory : IDisposable
{
    /// <summary>Where RAM lies: ascending, not overlapping, not adjacent.</summary>
    IReadOnlyList<PhysicalRange> Ranges { get; }

    /// <summary>Reads RAM into all of <paramref name="destination"/>.</summary>
    /// <exception cref="KaslrMtException">
    /// <see cref="GuestErrors.NotRam"/> when the run leaves RAM; <see cref="GuestErrors.GuestGone"/> when the guest has exited;
    /// <see cref="GuestErrors.AccessDenied"/> or <see cref="GuestErrors.ReadFailed"/> when the host refuses.
    /// </exception>
    void Read(PhysicalAddress address, Span<byte> destination);

    /// <summary>Like <see cref="Read"/>, for addresses that come from the guest itself and may be nonsense.</summary>
    /// <returns>False, with <paramref name="destination"/> untouched, when the run is not RAM from end to end.</returns>
    /// <exception cref="KaslrMtException">The guest has exited or the host refuses, as in <see cref="Read"/>.</exception>
    bool TryRead(PhysicalAddress address, Span<byte> destination);

    /// <summary>
    /// The RAM that may hold something, ascending: all of it, unless the host knows of runs that were never written and are zeros. Reading those would
    /// make the host map them first.
    /// </summary>
    /// <exception cref="KaslrMtException">The guest has exited.</exception>
    IReadOnlyList<PhysicalRange> FindWritten() => Ranges;

    /// <summary>Reads many small pieces of the same size, in as few calls to the host as possible: for addresses that come from the guest itself.</summary>
    /// <param name="addresses">Where the pieces are; any order, repeats allowed.</param>
    /// <param name="size">The size of one, bytes.</param>
    /// <param name="destination">Takes them one behind the other, <c>addresses.Length * size</c> bytes; a piece that is not all RAM becomes zeros.</param>
    /// <returns>How many pieces are RAM.</returns>
    /// <exception cref="KaslrMtException">The guest has exited or the host refuses, as in <see cref="Read"/>.</exception>
    int ReadEach(ReadOnlySpan<PhysicalAddress> addresses, int size, Span<byte> destination)
    {
        int read = 0;
        for (int i = 0; i < addresses.Length; i++)
        {
            Span<byte> piece = destination.Slice(i * size, size);
            if (TryRead(addresses[i], piece))
            {
                read++;
            }
            else
            {
                piece.Clear();
            }
        }

        return read;
    }
}
