namespace KaslrMt.Kernels;

/// <summary>What tells one build of a kernel from all others in a guest's memory. No secret: it follows from the kernel file alone.</summary>
/// <param name="Release">The release, such as <c>6.1.0-56-cloud-amd64</c>.</param>
/// <param name="Banner"><c>Linux version …</c>, with builder, compiler and date: relocation leaves it as it is.</param>
/// <param name="BannerOffset">Where it is, bytes behind the kernel's first.</param>
/// <param name="TopTableOffset">Where the kernel's own top page table (<c>init_top_pgt</c>) is, bytes behind the kernel's first.</param>
public sealed record KernelIdentity(string Release, byte[] Banner, ulong BannerOffset, ulong TopTableOffset)
{
    private const int LongestBanner = 512;
    private const string BannerSymbol = "linux_banner";
    private const string TopTableSymbol = "init_top_pgt";

    /// <summary>Reads it off an inspected kernel file.</summary>
    /// <exception cref="KaslrMtException">What is wrong with the file; KMT2403 when it has no such symbols.</exception>
    public static KernelIdentity Of(KernelInspection kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        if (kernel is not { Elf: { } elf, Symbols: { } symbols } || elf.Loads.Length == 0)
        {
            throw kernel.Problem ?? new KaslrMtException(KernelErrors.KallsymsSymbolMissing, "the kernel file has no symbols");
        }

        VirtualAddress start = elf.Loads[0].VirtualAddress;
        VirtualAddress[] addresses = symbols.Resolve(BannerSymbol, TopTableSymbol);
        ReadOnlySpan<byte> banner = [];
        foreach (ElfSegment load in elf.Loads)
        {
            if (addresses[0] >= load.VirtualAddress && addresses[0] - load.VirtualAddress < (ulong)load.FileSize)
            {
                int at = (int)(addresses[0] - load.VirtualAddress);
                banner = kernel.File.Slice(load.FileOffset + at, Math.Min(LongestBanner, load.FileSize - at));
            }
        }

        int end = banner.IndexOfAnyExceptInRange((byte)0x20, (byte)0x7e);
        return end > 0
            ? new KernelIdentity(kernel.Release, banner[..end].ToArray(), addresses[0] - start, addresses[1] - start)
            : throw new KaslrMtException(KernelErrors.KallsymsSymbolMissing, $"the kernel file holds no text at its {BannerSymbol}", "fetch it again; it may be damaged");
    }
}
