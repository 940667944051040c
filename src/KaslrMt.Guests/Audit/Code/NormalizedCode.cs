using Iced.Intel;

namespace KaslrMt.Guests;

/// <summary>Code without what differs from guest to guest though the code is the same: where it and what it refers to lie.</summary>
/// <remarks>
/// <para>Each instruction becomes its offset and a number made of its bytes, in which every distance and address is replaced by what it leads to: an
/// offset in the kernel, in the same module or in another one.</para>
/// <para>A jump label is a no-operation or a jump, a lock prefix there or not, as the guest needs it at the moment: both are taken for one.</para>
/// </remarks>
internal sealed class NormalizedCode
{
    private const ulong KernelAddressSpace = 0xffff800000000000;
    private const ulong Prime = 0x9e3779b97f4a7c15;

    private readonly List<(int Offset, ulong Number)> _instructions;

    private NormalizedCode(List<(int Offset, ulong Number)> instructions, ulong sum)
    {
        _instructions = instructions;
        Sum = sum;
    }

    /// <summary>One number for all of it: equal code has equal ones.</summary>
    public ulong Sum { get; }

    /// <summary>Decodes code, whatever the bytes.</summary>
    /// <param name="code">The bytes.</param>
    /// <param name="address">The first one's address.</param>
    /// <param name="resolve">What an address stands for in every guest alike; null for one that only this guest has.</param>
    /// <param name="starts">Where functions begin, ascending: the decoder, which data between them may lead astray, begins anew there.</param>
    public static NormalizedCode Of(byte[] code, ulong address, Func<ulong, ulong?> resolve, IEnumerable<ulong>? starts = null)
    {
        var reader = new ByteArrayCodeReader(code);
        var decoder = Decoder.Create(64, reader, address);
        Queue<ulong> ahead = new(starts ?? []);
        List<(int, ulong)> instructions = new(code.Length / 4);
        ulong sum = 0;
        ulong end = address + (ulong)code.Length;
        while (decoder.IP < end)
        {
            decoder.Decode(out Instruction instruction);
            int offset = (int)(instruction.IP - address);
            while (ahead.TryPeek(out ulong start) && start <= instruction.IP)
            {
                ahead.Dequeue();
            }

            if (ahead.TryPeek(out ulong next) && next < instruction.NextIP && next < end)
            {
                // No instruction: the next function begins inside of it.
                ulong data = code.AsSpan(offset, (int)(next - instruction.IP)).ToArray().Aggregate(next - instruction.IP, Mix8);
                instructions.Add((offset, data));
                sum = Mix(sum, data);
                decoder.IP = next;
                reader.Position = (int)(next - address);
                continue;
            }

            ulong number = Number(code.AsSpan(offset, Math.Min(instruction.Length, code.Length - offset)), decoder, instruction, address, end, resolve);
            instructions.Add((offset, number));
            sum = Mix(sum, number);
        }

        return new NormalizedCode(instructions, sum);
    }

    /// <summary>The offsets at which other code differs from this.</summary>
    public IEnumerable<int> DifferencesIn(NormalizedCode other)
    {
        int mine = 0;
        foreach ((int offset, ulong number) in other._instructions)
        {
            while (mine < _instructions.Count && _instructions[mine].Offset < offset)
            {
                mine++;
            }

            if (mine >= _instructions.Count || _instructions[mine] != (offset, number))
            {
                yield return offset;
            }
        }
    }

    private static ulong Number(ReadOnlySpan<byte> bytes, Decoder decoder, in Instruction instruction, ulong start, ulong end, Func<ulong, ulong?> resolve)
    {
        bool nearJump = instruction.Code is Code.Jmp_rel32_64 or Code.Jmp_rel8_64 && instruction.NearBranchTarget - start < end - start;
        if (nearJump || (bytes.Length is 2 or 5 && instruction.Mnemonic == Mnemonic.Nop))
        {
            return (ulong)bytes.Length;
        }

        Span<byte> masked = stackalloc byte[16];
        bytes.CopyTo(masked);
        masked[0] = masked[0] == 0x3e ? (byte)0xf0 : masked[0];
        ulong number = (ulong)bytes.Length;
        ConstantOffsets offsets = decoder.GetConstantOffsets(instruction);
        if (offsets.HasImmediate)
        {
            ulong value = IsNearBranch(instruction) ? instruction.NearBranchTarget : instruction.GetImmediate(ImmediateOperand(instruction));
            number = Replace(masked, offsets.ImmediateOffset, offsets.ImmediateSize, value, IsNearBranch(instruction), number, resolve);
        }

        if (offsets.HasDisplacement)
        {
            number = Replace(masked, offsets.DisplacementOffset, offsets.DisplacementSize, instruction.MemoryDisplacement64, instruction.IsIPRelativeMemoryOperand, number, resolve);
        }

        foreach (byte value in masked[..bytes.Length])
        {
            number = Mix(number, value);
        }

        return number;
    }

    private static ulong Replace(Span<byte> bytes, int at, int size, ulong value, bool isRelative, ulong number, Func<ulong, ulong?> resolve)
    {
        if (!isRelative && (value < KernelAddressSpace || size < sizeof(int)))
        {
            return number;
        }

        // Small negative numbers are above all addresses, and mean the same everywhere.
        ulong? stands = resolve(value);
        if (stands is null && !isRelative && value > unchecked((ulong)-(1L << 24)))
        {
            return number;
        }

        bytes.Slice(at, size).Clear();
        return Mix(number, stands ?? 0);
    }

    private static int ImmediateOperand(in Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) is >= OpKind.Immediate8 and <= OpKind.Immediate32to64)
            {
                return i;
            }
        }

        return 0;
    }

    private static bool IsNearBranch(in Instruction instruction) => instruction.Op0Kind is OpKind.NearBranch64 or OpKind.NearBranch32 or OpKind.NearBranch16;

    private static ulong Mix8(ulong sum, byte value) => Mix(sum, value);

    private static ulong Mix(ulong sum, ulong value) => System.Numerics.BitOperations.RotateLeft((sum ^ value) * Prime, 29);
}
