namespace KaslrMt.Guests;

/// <summary>A run of bytes in which two texts differ.</summary>
/// <param name="Offset">The first byte that differs.</param>
/// <param name="Length">Up to the last byte that differs.</param>
internal readonly record struct CodeDifference(int Offset, int Length)
{
    /// <summary>All differences; those with fewer than <paramref name="near"/> equal bytes between them are one.</summary>
    public static IEnumerable<CodeDifference> In(CodePair code, int near)
    {
        int first = -1;
        int last = 0;
        for (int at = Next(code, 0); at < code.Length; at = Next(code, at + 1))
        {
            if (first >= 0 && at - last > near)
            {
                yield return new CodeDifference(first, last + 1 - first);
                first = -1;
            }

            first = first < 0 ? at : first;
            last = at;
        }

        if (first >= 0)
        {
            yield return new CodeDifference(first, last + 1 - first);
        }
    }

    private static int Next(CodePair code, int from) => from + code.Expected[from..].CommonPrefixLength(code.Found[from..]);
}
