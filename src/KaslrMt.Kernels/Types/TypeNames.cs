using System.Numerics;
using System.Text;

namespace KaslrMt.Kernels;

/// <summary>The named structures, unions, enumerations and typedefs of a table, by a hash of their names.</summary>
/// <remarks>Made when the first name is looked up. Chains keep the table's order, so the first of several with one name is found first.</remarks>
internal sealed class TypeNames
{
    private readonly TypeTable _table;
    private readonly int[] _heads;
    private readonly int[] _ids;
    private readonly int[] _next;

    internal TypeNames(TypeTable table)
    {
        _table = table;
        var ids = new List<int>();
        for (int id = 1; id < table.Count; id++)
        {
            if (table.Kind(id) is TypeKind.Struct or TypeKind.Union or TypeKind.Enum or TypeKind.Enum64 or TypeKind.Typedef && table.Word(id, 0) != 0)
            {
                ids.Add(id);
            }
        }

        _ids = [.. ids];
        _next = new int[_ids.Length];
        _heads = new int[(int)BitOperations.RoundUpToPowerOf2((uint)(2 * _ids.Length) + 1)];
        for (int i = _ids.Length - 1; i >= 0; i--)
        {
            ref int head = ref _heads[Bucket(table.Name(table.Word(_ids[i], 0)))];
            _next[i] = head;
            head = i + 1;
        }
    }

    /// <summary>The first type of a name whose kind is one of those wanted.</summary>
    internal int? Find(string name, Func<TypeKind, bool> wanted)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(name);
        for (int i = _heads[Bucket(bytes)] - 1; i >= 0; i = _next[i] - 1)
        {
            int id = _ids[i];
            if (wanted(_table.Kind(id)) && _table.NameIs(_table.Word(id, 0), bytes))
            {
                return id;
            }
        }

        return null;
    }

    // FNV-1a: names of one table are chosen by its maker, who can only make his own table slow, and that by its number of types.
    private int Bucket(ReadOnlySpan<byte> name)
    {
        uint hash = 2166136261;
        foreach (byte letter in name)
        {
            hash = unchecked((hash ^ letter) * 16777619);
        }

        return (int)((hash ^ (hash >> 15)) & (uint)(_heads.Length - 1));
    }
}
