using System.Text;

namespace KaslrMt.Kernels;

/// <summary>A type of a kernel's table, as a member has it.</summary>
/// <remarks>Typedefs and qualifiers are passed through by every property but <see cref="Name"/>.</remarks>
public readonly record struct DataType
{
    /// <summary>Most typedefs, qualifiers and arrays between a member and its type; real kernels need six.</summary>
    public const int MaxDepth = 32;

    private const int PointerBytes = 8;

    private readonly TypeTable _table;
    private readonly int _id;

    internal DataType(TypeTable table, int id)
    {
        _table = table;
        _id = id;
    }

    /// <summary>What it is, behind typedefs and qualifiers.</summary>
    /// <exception cref="KaslrMtException">KMT2702 when they run in a circle.</exception>
    public TypeKind Kind => _table.Kind(Resolved);

    /// <summary>Its own name, such as a typedef's; empty for a type without.</summary>
    /// <exception cref="KaslrMtException">KMT2702.</exception>
    public string Name => _id == 0 ? "" : _table.Text(_table.Word(_id, 0));

    /// <summary>Its size in bytes; 0 where it has none (<c>void</c>, a function, a structure that is only declared).</summary>
    /// <exception cref="KaslrMtException">KMT2702 when arrays run in a circle, or the size passes 2^31.</exception>
    public int Size
    {
        get
        {
            ulong count = 1;
            DataType type = this;
            for (int depth = 0; depth < MaxDepth; depth++)
            {
                int id = type.Resolved;
                ulong size = _table.Kind(id) switch
                {
                    TypeKind.Integer or TypeKind.Struct or TypeKind.Union or TypeKind.Enum or TypeKind.Enum64 or TypeKind.Float => _table.Word(id, 2),
                    TypeKind.Pointer => PointerBytes,
                    TypeKind.Array => _table.Word(id, 5),
                    _ => 0,
                };
                if (size > int.MaxValue || (count *= size) > int.MaxValue)
                {
                    throw TypeTable.Inconsistent($"the size of type {_id} passes 2^31 bytes");
                }

                if (_table.Kind(id) != TypeKind.Array || count == 0)
                {
                    return (int)count;
                }

                type = _table.Type(_table.Word(id, 3));
            }

            throw TypeTable.Inconsistent($"type {_id} is an array of arrays without end");
        }
    }

    /// <summary>The structure or union; null for everything else.</summary>
    /// <exception cref="KaslrMtException">KMT2702.</exception>
    public StructType? Struct => Kind is TypeKind.Struct or TypeKind.Union ? new StructType(new DataType(_table, Resolved)) : null;

    /// <summary>An array's elements, or what a pointer points to; null for everything else.</summary>
    /// <exception cref="KaslrMtException">KMT2702.</exception>
    public DataType? Element => Kind switch
    {
        TypeKind.Array => _table.Type(_table.Word(Resolved, 3)),
        TypeKind.Pointer => _table.Type(_table.Word(Resolved, 2)),
        _ => null,
    };

    /// <summary>An array's number of elements; 0 for a flexible one; 1 for everything else.</summary>
    /// <exception cref="KaslrMtException">KMT2702 when it passes 2^31.</exception>
    public int ElementCount
    {
        get
        {
            uint count = Kind == TypeKind.Array ? _table.Word(Resolved, 5) : 1;
            return count <= int.MaxValue ? (int)count : throw TypeTable.Inconsistent($"type {_id} is an array of {count} elements");
        }
    }

    /// <summary>The value of an enumeration's constant, sign-extended; null where it has none of that name, or is no enumeration.</summary>
    /// <exception cref="KaslrMtException">KMT2702.</exception>
    public long? Constant(string name)
    {
        int id = Resolved;
        TypeKind kind = _table.Kind(id);
        if (kind is not (TypeKind.Enum or TypeKind.Enum64))
        {
            return null;
        }

        byte[] wanted = Encoding.ASCII.GetBytes(name);
        int words = kind == TypeKind.Enum ? 2 : 3;
        for (int i = 0; i < _table.Length(id); i++)
        {
            int at = 3 + (i * words);
            if (_table.NameIs(_table.Word(id, at), wanted))
            {
                // The flag says that the values are signed. Pahole before 1.24 never set it, and every value was an int then.
                uint low = _table.Word(id, at + 1);
                return kind == TypeKind.Enum64 ? (long)(low | ((ulong)_table.Word(id, at + 2) << 32)) : (int)low;
            }
        }

        return null;
    }

    internal TypeTable Table => _table;

    /// <summary>The number of the type behind typedefs and qualifiers.</summary>
    internal int Resolved
    {
        get
        {
            int id = _id;
            for (int depth = 0; depth < MaxDepth; depth++)
            {
                if (_table.Kind(id) is not (TypeKind.Typedef or TypeKind.Volatile or TypeKind.Const or TypeKind.Restrict or TypeKind.TypeTag))
                {
                    return id;
                }

                id = _table.Type(_table.Word(id, 2))._id;
            }

            throw TypeTable.Inconsistent($"type {_id} is another name for itself");
        }
    }

    /// <summary>Kind and name.</summary>
    public override string ToString() => $"{Kind} {Name}";
}
