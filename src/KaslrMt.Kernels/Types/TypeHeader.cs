using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <summary>Where the two parts of type information lie (<c>struct btf_header</c>).</summary>
/// <param name="Types">The first type record.</param>
/// <param name="TypesEnd">Behind the last.</param>
/// <param name="Strings">The first name.</param>
/// <param name="StringsEnd">Behind the zero that ends the last.</param>
internal readonly record struct TypeHeader(int Types, int TypesEnd, int Strings, int StringsEnd)
{
    private const ushort Magic = 0xeb9f;
    private const int Size = 24;

    /// <summary>Reads and checks the header.</summary>
    /// <exception cref="KaslrMtException">KMT2701, KMT2702.</exception>
    internal static TypeHeader Read(ReadOnlySpan<byte> btf)
    {
        if (btf.Length > TypeTable.MaxBytes)
        {
            throw NotTypes($"{btf.Length} bytes, expected at most {TypeTable.MaxBytes}");
        }

        if (btf.Length < Size || BinaryPrimitives.ReadUInt16LittleEndian(btf) != Magic)
        {
            throw NotTypes("it does not start with 0xeb9f");
        }

        // A longer header is one to which something was added at its end; all offsets count from there.
        uint header = Word(btf, 4);
        if (btf[2] != 1 || header < Size || header > btf.Length)
        {
            throw NotTypes($"version {btf[2]} with a header of {header} bytes, expected version 1 and 24 bytes or more");
        }

        (int types, int typesEnd) = Part(btf, header, 8, "types");
        (int strings, int stringsEnd) = Part(btf, header, 16, "names");
        if (strings == stringsEnd || btf[strings] != 0 || btf[stringsEnd - 1] != 0)
        {
            throw TypeTable.Inconsistent("the names do not start and end with a zero");
        }

        return new TypeHeader(types, typesEnd, strings, stringsEnd);
    }

    private static (int Start, int End) Part(ReadOnlySpan<byte> btf, uint header, int field, string what)
    {
        ulong start = (ulong)header + Word(btf, field);
        ulong end = start + Word(btf, field + 4);
        return end <= (ulong)btf.Length && start % 4 == 0
            ? ((int)start, (int)end)
            : throw TypeTable.Inconsistent($"the {what} lie at {start} to {end}, in {btf.Length} bytes");
    }

    private static uint Word(ReadOnlySpan<byte> btf, int at) => BinaryPrimitives.ReadUInt32LittleEndian(btf[at..]);

    private static KaslrMtException NotTypes(string problem) => new(
        KernelErrors.NotTypes, $"this is not a kernel's type information (BTF): {problem}", "the kernel needs CONFIG_DEBUG_INFO_BTF, as distributions set it");
}
