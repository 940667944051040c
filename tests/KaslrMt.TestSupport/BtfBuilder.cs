using System.Buffers.Binary;
using System.Text;
using KaslrMt.Kernels;

namespace KaslrMt.TestSupport;

/// <summary>Makes type information of a few types, right or wrong.</summary>
internal sealed class BtfBuilder
{
    private readonly List<uint> _words = [];
    private readonly List<byte> _strings = [0];

    /// <summary>The number of the type added last.</summary>
    internal uint Last { get; private set; }

    internal uint HeaderBytes { get; init; } = 24;

    internal uint Int(string name, uint size) => Add(name, TypeKind.Integer, 0, size, size * 8);

    internal uint Pointer(uint to) => Add("", TypeKind.Pointer, 0, to);

    internal uint Array(uint element, uint count) => Add("", TypeKind.Array, 0, 0, element, element, count);

    internal uint Other(string name, TypeKind kind, uint target) => Add(name, kind, 0, target);

    internal uint Struct(string name, uint size, params (string Name, uint Type, uint Bit)[] members) =>
        Add(name, TypeKind.Struct, (uint)members.Length, size, [.. members.SelectMany(member => new[] { Name(member.Name), member.Type, member.Bit })]);

    internal uint Union(string name, uint size, params (string Name, uint Type, uint Bit)[] members) =>
        Add(name, TypeKind.Union, (uint)members.Length, size, [.. members.SelectMany(member => new[] { Name(member.Name), member.Type, member.Bit })]);

    internal uint BitFields(string name, uint size, params (string Name, uint Type, uint Bit, uint Bits)[] members) => Add(
        name,
        TypeKind.Struct,
        (uint)members.Length | (1u << 31),
        size,
        [.. members.SelectMany(member => new[] { Name(member.Name), member.Type, member.Bit | (member.Bits << 24) })]);

    internal uint Enum(string name, params (string Name, int Value)[] constants) =>
        Add(name, TypeKind.Enum, (uint)constants.Length, 4, [.. constants.SelectMany(constant => new[] { Name(constant.Name), unchecked((uint)constant.Value) })]);

    internal uint Enum64(string name, params (string Name, long Value)[] constants) => Add(
        name,
        TypeKind.Enum64,
        (uint)constants.Length,
        8,
        [.. constants.SelectMany(constant => new[] { Name(constant.Name), unchecked((uint)constant.Value), (uint)(constant.Value >>> 32) })]);

    internal uint Add(string name, TypeKind kind, uint info, uint sizeOrType, params uint[] more)
    {
        _words.AddRange([Name(name), info | ((uint)kind << 24), sizeOrType, .. more]);
        return ++Last;
    }

    internal byte[] Build()
    {
        int types = _words.Count * 4;
        var bytes = new byte[HeaderBytes + types + _strings.Count];
        uint[] header = [0x0001eb9f, HeaderBytes, 0, (uint)types, (uint)types, (uint)_strings.Count];
        foreach ((int at, uint word) in header.Index())
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4 * at), word);
        }

        foreach ((int at, uint word) in _words.Index())
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((int)HeaderBytes + (4 * at)), word);
        }

        _strings.CopyTo(bytes, (int)HeaderBytes + types);
        return bytes;
    }

    private uint Name(string name)
    {
        if (name.Length == 0)
        {
            return 0;
        }

        uint at = (uint)_strings.Count;
        _strings.AddRange(Encoding.ASCII.GetBytes(name));
        _strings.Add(0);
        return at;
    }
}
