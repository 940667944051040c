namespace KaslrMt;

/// <summary>Rounding to powers of two.</summary>
internal static class Round
{
    /// <summary>The next multiple at or above. The caller keeps <paramref name="value"/> far enough from 2^64.</summary>
    internal static ulong Up(ulong value, ulong alignment) => checked(value + alignment - 1) & ~(alignment - 1);

    /// <summary>The next multiple at or below.</summary>
    internal static ulong Down(ulong value, ulong alignment) => value & ~(alignment - 1);
}
