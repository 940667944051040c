using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KaslrMt.Guests;

/// <content>With AVX-512: one register holds a stripe.</content>
internal static partial class PageHash
{
    /// <summary>The fingerprint of 4096 bytes, where <see cref="Avx512F"/> is supported.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static PageFingerprint Wide(ReadOnlySpan<byte> page)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(page.Length, PageCensus.PageSize);
        ref byte input = ref MemoryMarshal.GetReference(page);
        ref byte secret = ref MemoryMarshal.GetReference(Secret);
        var sum = Vector512.Create(Prime32C, Prime64A, Prime64B, Prime64C, Prime64D, Prime32B, Prime64E, Prime32A);
        for (int block = 0; block < LastBlock; block += BlockBytes)
        {
            for (int stripe = 0; stripe < StripesPerBlock; stripe++)
            {
                sum = Accumulate(sum, ref Unsafe.Add(ref input, block + (stripe * StripeBytes)), ref Unsafe.Add(ref secret, stripe * SecretStep));
            }

            Vector512<ulong> mixed = sum ^ (sum >>> 47) ^ Vector512.LoadUnsafe(ref Unsafe.Add(ref secret, ScrambleSecret)).AsUInt64();
            var prime = Vector512.Create(Prime32A);
            sum = Products(mixed, prime) + (Products(mixed >>> 32, prime) << 32);
        }

        for (int stripe = 0; stripe < StripesPerBlock - 1; stripe++)
        {
            sum = Accumulate(sum, ref Unsafe.Add(ref input, LastBlock + (stripe * StripeBytes)), ref Unsafe.Add(ref secret, stripe * SecretStep));
        }

        sum = Accumulate(sum, ref Unsafe.Add(ref input, PageCensus.PageSize - StripeBytes), ref Unsafe.Add(ref secret, LastStripeSecret));
        return Finish(sum.GetLower(), sum.GetUpper(), ref secret);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Accumulate(Vector512<ulong> sum, ref byte stripe, ref byte secret)
    {
        Vector512<ulong> data = Vector512.LoadUnsafe(ref stripe).AsUInt64();
        Vector512<ulong> keyed = data ^ Vector512.LoadUnsafe(ref secret).AsUInt64();
        return sum + Vector512.Shuffle(data, Vector512.Create(1UL, 0, 3, 2, 5, 4, 7, 6)) + Products(keyed, keyed >>> 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Products(Vector512<ulong> left, Vector512<ulong> right) => Avx512F.Multiply(left.AsUInt32(), right.AsUInt32());
}
