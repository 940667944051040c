namespace KaslrMt.Kernels.Tests.Payloads;

/// <summary>Unpacks into the middle of a larger array and proves that no byte around the destination was touched.</summary>
internal static class GuardedUnpacking
{
    private const int GuardLength = 4096;
    private const byte Guard = 0xa5;

    /// <summary>The unpacked bytes, or the code of the error.</summary>
    internal static (byte[]? Unpacked, ErrorCode? Error) Run(ReadOnlySpan<byte> payload, PayloadFormat format)
    {
        try
        {
            int length = Payload.DeclaredLength(payload, format);
            byte[] memory = new byte[length + (2 * GuardLength)];
            memory.AsSpan(0, GuardLength).Fill(Guard);
            memory.AsSpan(GuardLength + length).Fill(Guard);
            try
            {
                Payload.DecompressInto(payload, format, memory.AsSpan(GuardLength, length));
            }
            finally
            {
                Assert.Equal(-1, memory.AsSpan(0, GuardLength).IndexOfAnyExcept(Guard));
                Assert.Equal(-1, memory.AsSpan(GuardLength + length).IndexOfAnyExcept(Guard));
            }

            return (memory[GuardLength..(GuardLength + length)], null);
        }
        catch (KaslrMtException e)
        {
            Assert.False(string.IsNullOrWhiteSpace(e.Message));
            return (null, e.Code);
        }
    }
}
