using System.Text;

namespace KaslrMt.Kernels;

/// <summary>A structure or union of a kernel.</summary>
public sealed class StructType
{
    /// <summary>Most structures without a name inside one another; real kernels need five.</summary>
    public const int MaxNesting = 16;

    // struct task_struct and struct net_device have a few hundred. A hostile table could let every nameless member lead to all others.
    private const int MaxMembersSeen = 100_000;

    private readonly DataType _type;
    private readonly int _id;

    internal StructType(DataType type)
    {
        _type = type;
        _id = type.Resolved;
    }

    /// <summary>Its tag; empty for one without.</summary>
    /// <exception cref="KaslrMtException">KMT2702.</exception>
    public string Name => _type.Name;

    /// <summary>Its size in bytes.</summary>
    /// <exception cref="KaslrMtException">KMT2702 when it passes 2^31.</exception>
    public int Size => _type.Size;

    /// <summary>Whether it is a union.</summary>
    public bool IsUnion => _type.Kind == TypeKind.Union;

    /// <summary>Finds a member.</summary>
    /// <param name="path">Names with dots between them: <c>uuid.b</c>. Members of nameless structures and unions need no name, as in C.</param>
    /// <returns>Null where there is no such member.</returns>
    /// <remarks>A member found lies inside the structure from end to end: reading <see cref="Size"/> bytes is enough.</remarks>
    /// <exception cref="KaslrMtException">KMT2702 when the table is damaged.</exception>
    public Field? Find(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        long bits = 0;
        StructType? at = this;
        Field field = default;
        foreach (string name in path.Split('.'))
        {
            int budget = MaxMembersSeen;
            if (at is null || at.Find(Encoding.ASCII.GetBytes(name), MaxNesting, ref budget) is not Member found)
            {
                return null;
            }

            bits += found.Bits;
            DataType type = at._type.Table.Type(found.Type);
            if ((ulong)bits + (found.BitSize > 0 ? (ulong)found.BitSize : 8UL * (ulong)type.Size) > 8UL * (ulong)Size)
            {
                throw TypeTable.Inconsistent($"member {path} reaches out of its structure of {Size} bytes");
            }

            field = new Field((int)(bits / 8), (int)(bits % 8), found.BitSize, type);
            at = type.Struct;
        }

        return field;
    }

    /// <summary>Finds a member that the caller cannot do without.</summary>
    /// <param name="path">As in <see cref="Find(string)"/>.</param>
    /// <exception cref="KaslrMtException">KMT2703 where there is no such member; KMT2702.</exception>
    public Field Required(string path) => Find(path) ?? throw TypeTable.Missing($"no member {path} in a structure of {Size} bytes");

    /// <summary>Tag.</summary>
    public override string ToString() => Name;

    private Member? Find(ReadOnlySpan<byte> name, int nesting, ref int budget)
    {
        TypeTable table = _type.Table;
        bool hasBitFields = table.HasFlag(_id);
        for (int i = 0; i < table.Length(_id); i++)
        {
            if (--budget < 0 || nesting == 0)
            {
                throw TypeTable.Inconsistent($"the nameless members of type {_id} do not end");
            }

            int at = 3 + (3 * i);
            uint nameAt = table.Word(_id, at);
            uint offset = table.Word(_id, at + 2);
            var member = hasBitFields
                ? new Member(table.Word(_id, at + 1), offset & 0xffffff, (int)(offset >> 24))
                : new Member(table.Word(_id, at + 1), offset, 0);
            if (nameAt != 0)
            {
                if (table.NameIs(nameAt, name))
                {
                    return member;
                }
            }
            else if (table.Type(member.Type).Struct is StructType nameless && nameless.Find(name, nesting - 1, ref budget) is Member inside)
            {
                return inside with { Bits = inside.Bits + member.Bits };
            }
        }

        return null;
    }

    /// <summary>A member's type, distance in bits, and size in bits for a bit field.</summary>
    private readonly record struct Member(uint Type, long Bits, int BitSize);
}
