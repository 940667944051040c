using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KaslrMt.Guests;

/// <summary>XXH3-128 for inputs of exactly one page, after the xxHash specification 0.2.0, "XXH3 Algorithm Description (for large inputs)".</summary>
/// <remarks>Of a fixed length, all loops have constant bounds, and the eight accumulators stay in one 512-bit register, or two of 256 bits.</remarks>
internal static partial class PageHash
{
    private const int StripeBytes = 64;
    private const int SecretStep = 8;
    private const int StripesPerBlock = 16;
    private const int BlockBytes = StripeBytes * StripesPerBlock;
    private const int LastBlock = PageCensus.PageSize - BlockBytes;
    private const int ScrambleSecret = 192 - StripeBytes;
    private const int LastStripeSecret = 192 - StripeBytes - 7;
    private const int LowSecret = 11;
    private const int HighSecret = 192 - StripeBytes - LowSecret;

    private const ulong Prime32A = 0x9e3779b1;
    private const ulong Prime32B = 0x85ebca77;
    private const ulong Prime32C = 0xc2b2ae3d;
    private const ulong Prime64A = 0x9e3779b185ebca87;
    private const ulong Prime64B = 0xc2b2ae3d27d4eb4f;
    private const ulong Prime64C = 0x165667b19e3779f9;
    private const ulong Prime64D = 0x85ebca77c2b2ae63;
    private const ulong Prime64E = 0x27d4eb2f165667c5;
    private const ulong AvalanchePrime = 0x165667919e3779f9;

    // The specification's default secret.
    private static ReadOnlySpan<byte> Secret =>
    [
        0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb,
        0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
        0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
        0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
        0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31,
        0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
        0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc,
        0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
    ];

    /// <summary>The fingerprint of 4096 bytes.</summary>
    internal static PageFingerprint Of(ReadOnlySpan<byte> page) => Avx512F.IsSupported && Vector512.IsHardwareAccelerated ? Wide(page) : Narrow(page);

    /// <summary>The same, with 256-bit registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static PageFingerprint Narrow(ReadOnlySpan<byte> page)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(page.Length, PageCensus.PageSize);
        ref byte input = ref MemoryMarshal.GetReference(page);
        ref byte secret = ref MemoryMarshal.GetReference(Secret);
        var low = Vector256.Create(Prime32C, Prime64A, Prime64B, Prime64C);
        var high = Vector256.Create(Prime64D, Prime32B, Prime64E, Prime32A);
        for (int block = 0; block < LastBlock; block += BlockBytes)
        {
            for (int stripe = 0; stripe < StripesPerBlock; stripe++)
            {
                Accumulate(ref low, ref high, ref Unsafe.Add(ref input, block + (stripe * StripeBytes)), ref Unsafe.Add(ref secret, stripe * SecretStep));
            }

            low = Scramble(low, ref Unsafe.Add(ref secret, ScrambleSecret));
            high = Scramble(high, ref Unsafe.Add(ref secret, ScrambleSecret + 32));
        }

        // The last block is not scrambled, and its last stripe has a place of the secret for itself.
        for (int stripe = 0; stripe < StripesPerBlock - 1; stripe++)
        {
            Accumulate(ref low, ref high, ref Unsafe.Add(ref input, LastBlock + (stripe * StripeBytes)), ref Unsafe.Add(ref secret, stripe * SecretStep));
        }

        Accumulate(ref low, ref high, ref Unsafe.Add(ref input, PageCensus.PageSize - StripeBytes), ref Unsafe.Add(ref secret, LastStripeSecret));
        return Finish(low, high, ref secret);
    }

    private static PageFingerprint Finish(Vector256<ulong> low, Vector256<ulong> high, ref byte secret) => new(
        Merge(low, high, ref Unsafe.Add(ref secret, LowSecret), unchecked(PageCensus.PageSize * Prime64A)),
        Merge(low, high, ref Unsafe.Add(ref secret, HighSecret), ~unchecked(PageCensus.PageSize * Prime64B)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate(ref Vector256<ulong> low, ref Vector256<ulong> high, ref byte stripe, ref byte secret)
    {
        low = Accumulate(low, Vector256.LoadUnsafe(ref stripe).AsUInt64(), Vector256.LoadUnsafe(ref secret).AsUInt64());
        high = Accumulate(high, Vector256.LoadUnsafe(ref stripe, 32).AsUInt64(), Vector256.LoadUnsafe(ref secret, 32).AsUInt64());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Accumulate(Vector256<ulong> sum, Vector256<ulong> data, Vector256<ulong> secret)
    {
        Vector256<ulong> keyed = data ^ secret;

        // Each 64-bit word is added to its neighbour's sum.
        var swapped = Vector256.Shuffle(data, Vector256.Create(1UL, 0, 3, 2));
        return sum + swapped + LowProducts(keyed, keyed >>> 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Scramble(Vector256<ulong> sum, ref byte secret)
    {
        Vector256<ulong> mixed = sum ^ (sum >>> 47) ^ Vector256.LoadUnsafe(ref secret).AsUInt64();
        var prime = Vector256.Create(Prime32A);
        return LowProducts(mixed, prime) + (LowProducts(mixed >>> 32, prime) << 32);
    }

    /// <summary>The products of the low halves of each two words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> LowProducts(Vector256<ulong> left, Vector256<ulong> right) => Avx2.IsSupported
        ? Avx2.Multiply(left.AsUInt32(), right.AsUInt32())
        : Vector256.Create(
            Sse2.Multiply(left.GetLower().AsUInt32(), right.GetLower().AsUInt32()), Sse2.Multiply(left.GetUpper().AsUInt32(), right.GetUpper().AsUInt32()));

    private static ulong Merge(Vector256<ulong> low, Vector256<ulong> high, ref byte secret, ulong start)
    {
        Vector256<ulong> a = low ^ Vector256.LoadUnsafe(ref secret).AsUInt64();
        Vector256<ulong> b = high ^ Vector256.LoadUnsafe(ref secret, 32).AsUInt64();
        ulong sum = unchecked(start + Fold(a[0], a[1]) + Fold(a[2], a[3]) + Fold(b[0], b[1]) + Fold(b[2], b[3]));
        sum ^= sum >> 37;
        sum = unchecked(sum * AvalanchePrime);
        return sum ^ (sum >> 32);
    }

    private static ulong Fold(ulong left, ulong right) => Math.BigMul(left, right, out ulong low) ^ low;
}
