using System.Buffers.Binary;
using System.Text;

namespace KaslrMt.Kernels;

/// <summary>
/// A kernel's own description of its structures: the <c>.BTF</c> section, found in its image or in a running guest's memory. Source:
/// <c>Documentation/bpf/btf.rst</c>, <c>include/uapi/linux/btf.h</c>.
/// </summary>
/// <remarks>
/// One pass finds where each type's record starts and checks that it ends inside the section; what a record refers to is checked when it is
/// asked for, so that a table of 130,000 types costs a few milliseconds. Instances are immutable and safe for use by several threads.
/// </remarks>
public sealed class TypeTable
{
    /// <summary>Most bytes read: 64 MiB, ten times what Debian's kernels have.</summary>
    public const int MaxBytes = 64 << 20;

    /// <summary>Most types: <c>BTF_MAX_TYPE</c>, about 1,000,000.</summary>
    public const int MaxTypes = 0xfffff;

    /// <summary>Longest name taken, in bytes; no compiler gives a longer one to a structure or member.</summary>
    public const int MaxNameBytes = 1023;

    private const int RecordBytes = 12;

    private readonly ReadOnlyMemory<byte> _btf;
    private readonly TypeHeader _header;
    private readonly int[] _records;
    private readonly Lazy<TypeNames> _names;

    private TypeTable(ReadOnlyMemory<byte> btf, TypeHeader header, int[] records, int count)
    {
        _btf = btf;
        _header = header;
        _records = records;
        Count = count;
        _names = new Lazy<TypeNames>(() => new TypeNames(this));
    }

    /// <summary>Number of types, <c>void</c> included, which has number 0.</summary>
    public int Count { get; }

    /// <summary>Finds every type. The memory must stay as it is while this object is used.</summary>
    /// <param name="btf">The section's bytes, up to <see cref="MaxBytes"/>.</param>
    /// <exception cref="KaslrMtException">KMT2701 no type information; KMT2702 it is cut off or damaged (which, and where).</exception>
    public static TypeTable Read(ReadOnlyMemory<byte> btf)
    {
        ReadOnlySpan<byte> bytes = btf.Span;
        TypeHeader header = TypeHeader.Read(bytes);

        // A record has at least 12 bytes; its array of starts is then a third of what was given, at most.
        var records = new int[Math.Min(MaxTypes, (header.TypesEnd - header.Types) / RecordBytes) + 1];
        int count = 1;
        for (int at = header.Types; at < header.TypesEnd; count++)
        {
            if (count >= records.Length)
            {
                throw Inconsistent($"there are more than {count - 1} types");
            }

            records[count] = at;
            int size = at <= header.TypesEnd - RecordBytes ? RecordSize(BinaryPrimitives.ReadUInt32LittleEndian(bytes[(at + 4)..])) : -1;
            if (size < 0 || size > header.TypesEnd - at)
            {
                throw Inconsistent($"the record of type {count} at {at} is of an unknown kind or cut off");
            }

            at += size;
        }

        return new TypeTable(btf, header, records, count);
    }

    /// <summary>The structure or union of a name, or of a typedef's name; null where there is none.</summary>
    /// <remarks>Of several definitions with one name the first is given, as the kernel's own search does (<c>btf_find_by_name_kind</c>).</remarks>
    /// <exception cref="KaslrMtException">KMT2702 for a typedef that leads nowhere.</exception>
    public StructType? Struct(string name) =>
        _names.Value.Find(name, static kind => kind is TypeKind.Struct or TypeKind.Union) is int tagged ? new StructType(Type(tagged))
        : _names.Value.Find(name, static kind => kind is TypeKind.Typedef) is int other ? Type(other).Struct : null;

    /// <summary>The structure or union of a name.</summary>
    /// <exception cref="KaslrMtException">KMT2703 where there is none; KMT2702.</exception>
    public StructType RequiredStruct(string name) => Struct(name) ?? throw Missing($"no struct {name}");

    /// <summary>The value of an enumeration's constant.</summary>
    /// <param name="enumName">The enumeration's tag, or a typedef's name.</param>
    /// <param name="constant">The constant's name.</param>
    /// <returns>The value, sign-extended to 64 bits; null where there is no such enumeration or constant.</returns>
    /// <exception cref="KaslrMtException">KMT2702.</exception>
    public long? EnumValue(string enumName, string constant)
    {
        int? id = _names.Value.Find(enumName, static kind => kind is TypeKind.Enum or TypeKind.Enum64)
            ?? _names.Value.Find(enumName, static kind => kind is TypeKind.Typedef);
        return id is int found ? Type(found).Constant(constant) : null;
    }

    /// <summary>The name for a message that a kernel's table is damaged.</summary>
    internal static KaslrMtException Inconsistent(string problem) =>
        new(KernelErrors.TypesInconsistent, $"the kernel's type information (BTF) is damaged: {problem}", "the kernel or the guest's memory is damaged or hostile");

    /// <summary>The error for something that was asked for and is not there.</summary>
    internal static KaslrMtException Missing(string problem) =>
        new(KernelErrors.TypeMissing, $"the kernel's type information (BTF) has {problem}", "this kernel is not supported, or damaged");

    /// <summary>The type of a number.</summary>
    /// <exception cref="KaslrMtException">KMT2702 when there is no such type.</exception>
    internal DataType Type(uint id) => id < (uint)Count ? Type((int)id) : throw Inconsistent($"a type refers to type {id} of {Count}");

    internal DataType Type(int id) => new(this, id);

    internal TypeKind Kind(int id) => id == 0 ? TypeKind.Void : (TypeKind)((Word(id, 1) >> 24) & 0x1f);

    /// <summary>How many members, constants or parameters follow the record.</summary>
    internal int Length(int id) => id == 0 ? 0 : (int)(Word(id, 1) & 0xffff);

    internal bool HasFlag(int id) => id != 0 && Word(id, 1) >> 31 != 0;

    /// <summary>A 32-bit word of a type's record; the first three are name, info, and size or type.</summary>
    internal uint Word(int id, int word) => BinaryPrimitives.ReadUInt32LittleEndian(_btf.Span[(_records[id] + (4 * word))..]);

    /// <summary>A name in the section's strings, without its zero; empty for no name.</summary>
    /// <exception cref="KaslrMtException">KMT2702 when it lies outside or is longer than <see cref="MaxNameBytes"/>.</exception>
    internal ReadOnlySpan<byte> Name(uint offset)
    {
        if (offset >= (uint)(_header.StringsEnd - _header.Strings))
        {
            throw Inconsistent($"a name lies at {offset}, in {_header.StringsEnd - _header.Strings} bytes of names");
        }

        ReadOnlySpan<byte> rest = _btf.Span[(_header.Strings + (int)offset).._header.StringsEnd];
        int length = rest[..Math.Min(rest.Length, MaxNameBytes + 1)].IndexOf((byte)0);
        return length >= 0 ? rest[..length] : throw Inconsistent($"the name at {offset} has more than {MaxNameBytes} bytes");
    }

    /// <summary>Whether the name at an offset is this one; false for a name outside, without looking for its end.</summary>
    internal bool NameIs(uint offset, ReadOnlySpan<byte> name)
    {
        int strings = _header.StringsEnd - _header.Strings;
        if (offset >= (uint)strings || name.Length >= strings - (int)offset)
        {
            return false;
        }

        ReadOnlySpan<byte> there = _btf.Span.Slice(_header.Strings + (int)offset, name.Length + 1);
        return there[name.Length] == 0 && there.StartsWith(name);
    }

    internal string Text(uint offset) => Encoding.ASCII.GetString(Name(offset));

    private static int RecordSize(uint info)
    {
        int length = (int)(info & 0xffff);
        return RecordBytes + (TypeKind)((info >> 24) & 0x1f) switch
        {
            TypeKind.Pointer or TypeKind.Forward or TypeKind.Typedef or TypeKind.Volatile or TypeKind.Const or TypeKind.Restrict
                or TypeKind.Function or TypeKind.Float or TypeKind.TypeTag => 0,
            TypeKind.Integer or TypeKind.Variable or TypeKind.DeclarationTag => 4,
            TypeKind.Array => 12,
            TypeKind.Struct or TypeKind.Union or TypeKind.DataSection or TypeKind.Enum64 => 12 * length,
            TypeKind.Enum or TypeKind.FunctionPrototype => 8 * length,
            _ => -1 - RecordBytes,
        };
    }
}
