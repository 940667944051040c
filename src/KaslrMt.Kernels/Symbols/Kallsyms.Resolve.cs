namespace KaslrMt.Kernels;

/// <content>From names to addresses.</content>
public sealed partial class Kallsyms
{
    /// <summary>The addresses of several symbols, in one pass that ends as soon as all are found.</summary>
    /// <param name="names">The names; where several symbols have one name, the one with the lowest address is given.</param>
    /// <returns>An address for each name, in their order.</returns>
    /// <exception cref="KaslrMtException">KMT2403: names all symbols that are missing.</exception>
    public VirtualAddress[] Resolve(params ReadOnlySpan<string> names)
    {
        if (!TryResolve(names, out VirtualAddress?[] found))
        {
            throw Missing(names, found);
        }

        var addresses = new VirtualAddress[names.Length];
        for (int i = 0; i < addresses.Length; i++)
        {
            addresses[i] = found[i].GetValueOrDefault();
        }

        return addresses;
    }

    /// <summary>As <see cref="Resolve"/>, where missing symbols are an ordinary case.</summary>
    /// <param name="names">The names.</param>
    /// <param name="found">An address for each name, in their order, or null.</param>
    /// <returns>Whether all were found.</returns>
    public bool TryResolve(ReadOnlySpan<string> names, out VirtualAddress?[] found)
    {
        found = new VirtualAddress?[names.Length];
        int missing = names.Length;
        NameSet wanted = new(names, _tokens);
        Span<byte> name = stackalloc byte[MaxNameBytes + 1];
        NameWalk walk = new(this, 0);
        while (missing > 0 && walk.MoveNext(wanted))
        {
            int length = _tokens.Expand(walk.Codes, name);
            ReadOnlySpan<byte> candidate = name[Math.Min(1, length)..length];
            for (int i = wanted.First(candidate); i >= 0; i = wanted.Next(i, candidate))
            {
                if (found[i] is null)
                {
                    found[i] = new VirtualAddress(_addresses[walk.Memory, walk.Symbol]);
                    missing--;
                }
            }
        }

        return missing == 0;
    }

    /// <summary>Most symbols that <see cref="All"/> gives. Real kernels have some hundred of a name; hostile tables can have millions.</summary>
    public const int MaxOfOneName = 1 << 16;

    /// <summary>
    /// All symbols of one name (at most <see cref="MaxOfOneName"/>), by ascending address: names of static functions and variables are
    /// not unique.
    /// </summary>
    public IReadOnlyList<KallsymsSymbol> All(string name)
    {
        NameSet wanted = new([name], _tokens);
        List<KallsymsSymbol> all = [];
        Span<byte> buffer = stackalloc byte[MaxNameBytes + 1];
        NameWalk walk = new(this, 0);
        while (all.Count < MaxOfOneName && walk.MoveNext(wanted))
        {
            ReadOnlySpan<byte> expanded = buffer[.._tokens.Expand(walk.Codes, buffer)];
            KallsymsEntry entry = new(walk.Symbol, expanded, _addresses[walk.Memory, walk.Symbol]);
            if (wanted.First(entry.NameBytes) >= 0)
            {
                all.Add(new KallsymsSymbol(entry.Index, entry.Type, name, entry.Address));
            }
        }

        return all;
    }

    private KaslrMtException Missing(ReadOnlySpan<string> names, VirtualAddress?[] found)
    {
        List<string> missing = [];
        for (int i = 0; i < names.Length; i++)
        {
            if (found[i] is null)
            {
                missing.Add(names[i]);
            }
        }

        return new KaslrMtException(
            KernelErrors.KallsymsSymbolMissing,
            $"the kernel has no symbol {string.Join(", ", missing)} among its {Count}",
            "this kernel is not supported, or was built without CONFIG_KALLSYMS_ALL");
    }
}
