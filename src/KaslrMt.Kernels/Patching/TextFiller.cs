namespace KaslrMt.Kernels;

/// <summary>Room for code in a kernel's text: what the linker filled.</summary>
internal static class TextFiller
{
    private const int PageSize = 4096;
    private const ulong LargePage = 2 << 20;
    private const byte Trap = 0xcc;

    // Code that runs up to its end must not run into ours.
    private const int Distance = 16;

    /// <summary>Finds room: behind the text's end in its last page, which is mapped as text still, else the longest filler in the text.</summary>
    /// <param name="file">The image's bytes.</param>
    /// <param name="elf">Its headers.</param>
    /// <param name="symbols">Its symbols.</param>
    /// <param name="text">The text's start.</param>
    /// <param name="end">Its end.</param>
    /// <param name="size">Bytes wanted, up to a page.</param>
    /// <param name="place">The link address found, and its offset in the file.</param>
    /// <returns>False where there is none.</returns>
    public static bool TryFind(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, VirtualAddress text, VirtualAddress end, int size, out (VirtualAddress Address, int Offset) place)
    {
        VirtualAddress behind = new((end.Value + Distance - 1) & ~(Distance - 1UL));
        ulong page = (end.Value + PageSize - 1) & ~(PageSize - 1UL);
        ulong free = symbols.Find(end) is { Size: ulong until, Offset: 0 } ? end.Value + until : end.Value;
        if (behind.Value + (ulong)size <= Math.Min(page, free) && IsZero(file, elf, end, (int)(page - end.Value), out int offset))
        {
            place = (behind, offset + (int)(behind.Value - end.Value));
            return true;
        }

        return TryFindBetween(file, elf, symbols, text, end, size, out place);
    }

    // Not in the large pages of the entry code: with page-table isolation they are mapped for user space too.
    private static bool TryFindBetween(ReadOnlySpan<byte> file, ElfImage elf, Kallsyms symbols, VirtualAddress text, VirtualAddress end, int size, out (VirtualAddress Address, int Offset) place)
    {
        place = default;
        symbols.TryResolve(["__entry_text_start", "__entry_text_end"], out VirtualAddress?[] entry);
        if (entry[0] is not VirtualAddress shared || entry[1] is not VirtualAddress sharedEnd || !elf.TryGetFileOffset(text, (int)(end - text), out int start))
        {
            return false;
        }

        ulong from = shared.Value & ~(LargePage - 1), to = (sharedEnd.Value + LargePage - 1) & ~(LargePage - 1);
        ReadOnlySpan<byte> bytes = file.Slice(start, (int)(end - text));
        int wanted = size + (3 * Distance), best = 0;
        for (int at = wanted; at < bytes.Length; at += wanted)
        {
            // Every run of this length has a byte at one of these places.
            int first = bytes[..at].LastIndexOfAnyExcept(Trap) + 1;
            int more = bytes[at..].IndexOfAnyExcept(Trap);
            int last = more < 0 ? bytes.Length : at + more;
            (ulong runStart, ulong runEnd) = (text.Value + (ulong)first, text.Value + (ulong)last);
            (runStart, runEnd) = runEnd <= from || runStart >= to ? (runStart, runEnd)
                : runStart < from ? (runStart, from)
                : (Math.Max(runStart, to), Math.Max(runEnd, to));
            if (runEnd - runStart > (ulong)Math.Max(best, wanted))
            {
                best = (int)(runEnd - runStart);
                ulong address = (runStart + (2 * Distance) - 1) & ~(Distance - 1UL);
                place = (new VirtualAddress(address), start + (int)(address - text.Value));
            }

            at = Math.Max(at, last - (last % wanted));
        }

        return best > 0;
    }

    private static bool IsZero(ReadOnlySpan<byte> file, ElfImage elf, VirtualAddress address, int length, out int offset) =>
        elf.TryGetFileOffset(address, length, out offset) && file.Slice(offset, length).IndexOfAnyExcept((byte)0) < 0;
}
