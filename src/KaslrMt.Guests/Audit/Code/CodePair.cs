namespace KaslrMt.Guests;

/// <summary>A kernel's text twice: as its image says it is at the guest's addresses, and as the guest's memory has it.</summary>
/// <remarks>
/// What a patch rule recognises as the kernel's own change is taken over into the expected bytes; whatever still differs in the end is nobody's.
/// </remarks>
/// <param name="start">The run-time address of the first byte.</param>
/// <param name="expected">The image's bytes, moved; changed by <see cref="Accept"/>.</param>
/// <param name="found">The guest's.</param>
internal sealed class CodePair(ulong start, byte[] expected, byte[] found)
{
    /// <summary>The run-time address of the first byte.</summary>
    public ulong Start => start;

    /// <summary>Bytes.</summary>
    public int Length => expected.Length;

    /// <summary>As the image and the rules so far have it.</summary>
    public ReadOnlySpan<byte> Expected => expected;

    /// <summary>As the guest has it.</summary>
    public ReadOnlySpan<byte> Found => found;

    /// <summary>The array behind <see cref="Expected"/>, for the decoder.</summary>
    public byte[] ExpectedArray => expected;

    /// <summary>The array behind <see cref="Found"/>, for the decoder.</summary>
    public byte[] FoundArray => found;

    /// <summary>Where the bytes of an address lie.</summary>
    /// <returns>False when not all of them are in this text.</returns>
    public bool TryOffset(ulong address, int length, out int offset)
    {
        ulong distance = unchecked(address - start);
        offset = (int)Math.Min(distance, int.MaxValue);
        return length >= 0 && length <= expected.Length && distance <= (ulong)(expected.Length - length);
    }

    /// <summary>Whether both agree on a run.</summary>
    public bool Agrees(int offset, int length) => expected.AsSpan(offset, length).SequenceEqual(found.AsSpan(offset, length));

    /// <summary>Takes what the guest has for what is expected.</summary>
    public void Accept(int offset, int length) => found.AsSpan(offset, length).CopyTo(expected.AsSpan(offset));

    /// <summary>Where a call or jump of 5 bytes leads, in either text.</summary>
    public ulong Target(ReadOnlySpan<byte> code, int offset, int length = 5) =>
        unchecked(start + (ulong)(offset + length) + (ulong)System.Buffers.Binary.BinaryPrimitives.ReadInt32LittleEndian(code[(offset + length - 4)..]));
}
