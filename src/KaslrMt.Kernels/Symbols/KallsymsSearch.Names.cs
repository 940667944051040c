namespace KaslrMt.Kernels;

/// <content>From a token table back to the markers, and from the markers back to the names and their number.</content>
internal ref partial struct KallsymsSearch
{
    /// <summary>The tables that lie before the tokens.</summary>
    private readonly record struct NameTables(int Count, int CountAt, int Names, int Markers, int? SequencesOfNames);

    /// <summary>
    /// Walks back from the tokens to the only place where a zero begins a row of values that grow by the size of 256 names. Some kernels
    /// have seqs_of_names in between, of a size not known yet.
    /// </summary>
    private bool TryNames(int tokens, out NameTables tables)
    {
        const int mostBehind = (MaxSymbols * 3) + ((MaxSymbols / SymbolsPerMarker) * sizeof(uint)) + 16;
        int aligned = tokens & ~3;
        for (int at = aligned - (MinMarkers * sizeof(uint)); at >= Math.Max(0, aligned - mostBehind) && Spend(1); at -= sizeof(uint))
        {
            if (ReadUInt32(at) == 0
                && CountMarkers(at, aligned) is >= MinMarkers and int markers
                && TryNames(at, markers, tokens, out tables))
            {
                return true;
            }
        }

        tables = default;
        return false;
    }

    private int CountMarkers(int markers, int end)
    {
        uint previous = 0;
        int count = 1;
        for (int at = markers + sizeof(uint); at < end && count <= MaxSymbols / SymbolsPerMarker && Spend(1); at += sizeof(uint))
        {
            uint value = ReadUInt32(at);
            if (value <= previous || !IsNameGroup(value - previous))
            {
                break;
            }

            previous = value;
            count++;
        }

        return count;

        static bool IsNameGroup(uint bytes) => bytes is >= 2 * SymbolsPerMarker and <= MaxNameBytes * SymbolsPerMarker;
    }

    private bool TryNames(int markers, int markerCount, int tokens, out NameTables tables)
    {
        tables = default;
        long last = ReadUInt32(markers + ((markerCount - 1) * sizeof(uint)));

        // The last marker leaves a short way to go. Only where the bytes behind the markers look like one more marker is the way longer.
        long lowest = Math.Max(sizeof(ulong), markers - last - (MaxNameBytes * SymbolsPerMarker) - sizeof(ulong));
        long likely = Math.Max(lowest, markers - last);
        return TryNames(likely, lowest, markers, markerCount, tokens, ref tables)
            || TryNames(markers - (2L * MinSymbols), likely, markers, markerCount, tokens, ref tables);
    }

    private bool TryNames(long highest, long lowest, int markers, int markerCount, int tokens, ref NameTables tables)
    {
        for (int names = (int)highest & ~3; names >= lowest && Spend(1); names -= sizeof(uint))
        {
            // num_syms is a 32-bit value, padded to 64 where tables are aligned to 8 bytes.
            int countAt = names - sizeof(uint);
            uint count = ReadUInt32(countAt);
            if (count == 0)
            {
                countAt = names - sizeof(ulong);
                count = ReadUInt32(countAt);
            }

            if (count is > MinSymbols and <= MaxSymbols
                && MarkersOf((int)count) <= markerCount
                && EndsAt(names, (int)count, markers)
                && TrySequences((int)count, markers, tokens, out int? sequences))
            {
                tables = new NameTables((int)count, countAt, names, markers, sequences);
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether so many names end where the markers begin, and each marker is where its name is.</summary>
    private bool EndsAt(int names, int count, int markers)
    {
        int last = MarkersOf(count) - 1;
        long room = (long)markers - names - ReadUInt32(markers + (last * sizeof(uint)));
        if (room < 2 || room > MaxNameBytes * SymbolsPerMarker)
        {
            return false;
        }

        ReadOnlySpan<byte> image = _image;
        int at = names;
        for (int symbol = 0; symbol < count; symbol++)
        {
            if (symbol % SymbolsPerMarker == 0)
            {
                int marker = markers + (symbol / SymbolsPerMarker * sizeof(uint));
                if (ReadUInt32(marker) != at - names || !Spend(SymbolsPerMarker))
                {
                    Fail(2, "kallsyms_markers", marker, "this marker is not where its name is", symbol);
                    return false;
                }
            }

            // The markers lie behind the names, so the second byte is always there.
            int length = image[at++];
            if (length >= 0x80)
            {
                length = (length & 0x7f) | (image[at++] << 7);
            }

            at += length;
            if (length == 0 || at > markers)
            {
                Fail(2, "kallsyms_names", at, "a name has no length or does not end before kallsyms_markers", symbol);
                return false;
            }
        }

        int padding = at;
        while (padding < markers && image[padding] == 0)
        {
            padding++;
        }

        return padding == markers && padding - at < sizeof(ulong);
    }

    /// <summary>What lies between the markers and the tokens: padding, or three bytes for each symbol.</summary>
    private bool TrySequences(int count, int markers, int tokens, out int? sequences)
    {
        int behind = markers + (MarkersOf(count) * sizeof(uint));
        long gap = (long)tokens - behind;
        sequences = null;
        if (gap is >= 0 and < sizeof(ulong))
        {
            return true;
        }

        sequences = RoundUp(behind, sizeof(ulong));
        long rest = tokens - sequences.Value - (3L * count);
        if (rest is >= 0 and < sizeof(ulong))
        {
            return true;
        }

        Fail(2, "kallsyms_markers", markers, "its size does not fit the table behind it");
        return false;
    }

    private static int MarkersOf(int symbols) => (symbols + SymbolsPerMarker - 1) / SymbolsPerMarker;
}
