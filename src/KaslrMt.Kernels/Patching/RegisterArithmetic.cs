using Iced.Intel;

namespace KaslrMt.Kernels;

/// <summary>Evaluates the few arithmetic instructions between a random number and the module offset made from it.</summary>
internal static class RegisterArithmetic
{
    private const int MaximumInstructions = 12;
    private const int PageShift = 12;

    /// <summary>Whether one register holds (slot + 1) pages whatever the slot, when EAX starts as <c>slot &lt;&lt; shift</c>.</summary>
    /// <remarks>Tried for no bit, each single bit and all bits: masks and shifts treat bits one by one, so this is every slot.</remarks>
    /// <param name="code">A function's instructions.</param>
    /// <param name="start">The index of the first instruction behind the call.</param>
    /// <param name="slots">How many slots there are.</param>
    /// <param name="shift">The candidate.</param>
    public static bool YieldsPageOffset(IReadOnlyList<Instruction> code, int start, int slots, int shift)
    {
        (int At, Register Register)? place = null;
        for (int bit = 1; bit <= slots * 2; bit <<= 1)
        {
            int slot = bit < slots ? bit : bit == slots ? 0 : slots - 1;
            ulong wanted = (ulong)(slot + 1) << PageShift;
            (int, Register)? found = FindValue(code, start, (uint)slot << shift, wanted);
            if (found is null || (place is not null && place != found))
            {
                return false;
            }

            place = found;
        }

        return true;
    }

    private static (int At, Register Register)? FindValue(IReadOnlyList<Instruction> code, int start, uint random, ulong wanted)
    {
        var values = new Dictionary<Register, ulong> { [Register.RAX] = random };
        int end = Math.Min(code.Count, start + MaximumInstructions);
        for (int i = start; i < end && code[i].FlowControl == FlowControl.Next; i++)
        {
            Instruction instruction = code[i];
            if (instruction.OpCount == 0 || instruction.Op0Kind != OpKind.Register)
            {
                continue;
            }

            Register target = instruction.Op0Register.GetFullRegister();
            ulong? value = Evaluate(instruction, values);
            if (value is null)
            {
                values.Remove(target);
                continue;
            }

            values[target] = value.Value;
            if (value.Value == wanted)
            {
                return (i, target);
            }
        }

        return null;
    }

    private static ulong? Evaluate(in Instruction instruction, Dictionary<Register, ulong> values)
    {
        int bits = instruction.Op0Register.GetSize() * 8;
        if (bits < 16)
        {
            return null;
        }

        ulong? left = Read(instruction, 0, values);
        ulong? right = instruction.OpCount > 1 ? Read(instruction, 1, values) : null;
        ulong? result = instruction.Mnemonic switch
        {
            Mnemonic.Mov or Mnemonic.Movzx => right,
            Mnemonic.And => left & right,
            Mnemonic.Add => left + right,
            Mnemonic.Sub => left - right,
            Mnemonic.Inc => left + 1,
            Mnemonic.Shl => left << Count(right, bits),
            Mnemonic.Shr => left >> Count(right, bits),
            Mnemonic.Imul when instruction.OpCount == 3 => right * Read(instruction, 2, values),
            Mnemonic.Lea when instruction is { MemoryIndex: Register.None, IsIPRelativeMemoryOperand: false } =>
                values.TryGetValue(instruction.MemoryBase.GetFullRegister(), out ulong address) ? address + instruction.MemoryDisplacement64 : null,
            Mnemonic.Xor when instruction.Op1Kind == OpKind.Register && instruction.Op0Register == instruction.Op1Register => 0,
            _ => null,
        };
        return bits switch
        {
            64 => result,
            32 => result & uint.MaxValue,
            _ => KeepUpper(instruction.Op0Register, result, values),
        };
    }

    // Writing 32 bits clears the upper half of a register, writing 16 leaves the rest as it was.
    private static ulong? KeepUpper(Register target, ulong? result, Dictionary<Register, ulong> values) =>
        values.TryGetValue(target.GetFullRegister(), out ulong before) ? (before & ~(ulong)ushort.MaxValue) | (result & ushort.MaxValue) : null;

    // x86 takes a shift count modulo 64 for 64-bit operands, modulo 32 for smaller ones.
    private static int Count(ulong? count, int bits) => (int)((count ?? 0) & (bits == 64 ? 63UL : 31));

    private static ulong? Read(in Instruction instruction, int operand, Dictionary<Register, ulong> values)
    {
        OpKind kind = instruction.GetOpKind(operand);
        if (kind != OpKind.Register)
        {
            // The rest are memory and branch targets.
            return kind is >= OpKind.Immediate8 and <= OpKind.Immediate32to64 ? instruction.GetImmediate(operand) : null;
        }

        Register register = instruction.GetOpRegister(operand);
        if (!values.TryGetValue(register.GetFullRegister(), out ulong value))
        {
            return null;
        }

        return register.GetSize() switch
        {
            8 => value,
            4 => value & uint.MaxValue,
            2 => value & ushort.MaxValue,
            _ => null,
        };
    }
}
