namespace KaslrMt.Kernels;

/// <content>From addresses to names.</content>
public sealed partial class Kallsyms
{
    /// <summary>Most aliases that <see cref="Find"/> gives: code has under 200, hostile tables can put all symbols at one address.</summary>
    public const int MaxAliases = 1024;

    /// <summary>The symbol that an address belongs to, as a stack trace names it.</summary>
    /// <param name="address">Any address, or a per-CPU value.</param>
    /// <returns>
    /// Null where no symbol covers the address: below the first, behind the last (<c>_end</c> or a symbol above it), or between the per-CPU values
    /// and the kernel.
    /// </returns>
    public KallsymsLocation? Find(VirtualAddress address)
    {
        ReadOnlySpan<byte> memory = _memory.Span;
        int next = FirstAbove(memory, address.Value);
        if (next == 0)
        {
            return null;
        }

        // The kernel names the first of several symbols with one address (get_symbol_pos).
        ulong start = _addresses[memory, next - 1];
        int first = start == 0 ? 0 : FirstAbove(memory, start - 1);
        ulong? size = null;
        if (next < Count && _addresses.IsAbsolute(memory, next) == _addresses.IsAbsolute(memory, first))
        {
            size = _addresses[memory, next] - start;
        }
        else if (address.Value != start)
        {
            return null;
        }

        Enumerator symbols = new(this, first);
        symbols.MoveNext();
        KallsymsSymbol symbol = symbols.Current.ToSymbol();
        List<KallsymsSymbol> aliases = [];
        for (int alias = first + 1; alias < next && aliases.Count < MaxAliases; alias++)
        {
            symbols.MoveNext();
            aliases.Add(symbols.Current.ToSymbol());
        }

        return new KallsymsLocation(symbol, address.Value - start, size, aliases);
    }

    /// <summary>The number of the first symbol whose address is above <paramref name="address"/>, or <see cref="Count"/>.</summary>
    private int FirstAbove(ReadOnlySpan<byte> memory, ulong address)
    {
        int low = 0;
        int high = Count;
        while (low < high)
        {
            int middle = low + ((high - low) / 2);
            if (_addresses[memory, middle] <= address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}
