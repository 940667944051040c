using System.Globalization;

namespace KaslrMt.Kernels;

/// <summary>How far a search came and what stopped it; the farthest fault of all candidates is the one reported.</summary>
/// <param name="Stage">0 nothing seen, then one more for each table that was right.</param>
/// <param name="Symbol">How many symbols of that table were right.</param>
/// <param name="Table">The table at fault.</param>
/// <param name="Position">Where, in bytes from the start of the memory searched.</param>
/// <param name="Problem">What is wrong with it.</param>
internal readonly record struct KallsymsFault(int Stage, int Symbol, string Table, long Position, string Problem)
{
    /// <summary>The numbered error for it.</summary>
    /// <param name="searched">Bytes that were searched.</param>
    public KaslrMtException ToException(int searched) => Stage == 0
        ? new KaslrMtException(
            KernelErrors.KallsymsNotFound,
            string.Create(CultureInfo.InvariantCulture, $"no kallsyms token table with its index in {searched} bytes of kernel memory"),
            "the kernel needs CONFIG_KALLSYMS and must be unpacked whole")
        : new KaslrMtException(
            KernelErrors.KallsymsInconsistent,
            string.Create(CultureInfo.InvariantCulture, $"{Table} at offset 0x{Position:x} of {searched} bytes of kernel memory: {Problem}"),
            "the image is cut off, damaged, or its kallsyms layout is not one of 5.x to 7.x");
}
