using Iced.Intel;

namespace KaslrMt.Guests;

/// <summary>A few instructions as they work: no-operations, and what is jumped over, left out.</summary>
/// <remarks>
/// The kernel fills patched places with the longest no-operations, or a jump over <c>int3</c>, differently in every version
/// (<c>arch/x86/kernel/alternative.c</c>, <c>add_nop</c>, <c>optimize_nops</c>); what they do is the same.
/// </remarks>
internal static class InstructionStream
{
    private const byte Int3 = 0xcc;
    private const byte ShortJump = 0xeb;
    private const byte NearJump = 0xe9;

    /// <summary>Decodes <paramref name="length"/> bytes.</summary>
    /// <param name="code">Where they lie.</param>
    /// <param name="offset">The first one's index.</param>
    /// <param name="length">How many.</param>
    /// <param name="address">The first one's address.</param>
    /// <param name="stream">Takes the instructions.</param>
    /// <returns>False when they are no whole instructions.</returns>
    public static bool TryDecode(byte[] code, int offset, int length, ulong address, List<Instruction> stream)
    {
        stream.Clear();
        var decoder = Decoder.Create(64, new ByteArrayCodeReader(code, offset, length), address);
        ulong end = address + (ulong)length;
        bool ended = false;
        while (decoder.IP < end)
        {
            decoder.Decode(out Instruction instruction);
            int at = offset + (int)(instruction.IP - address);
            if (ended && code[at] == Int3)
            {
                continue;
            }

            if (instruction.IsInvalid)
            {
                return false;
            }

            int next = at + instruction.Length;
            if (code[at] is ShortJump or NearJump && instruction.NearBranchTarget <= end && instruction.NearBranchTarget >= instruction.NextIP
                && BranchRules.IsFilling(code.AsSpan(next, (int)(instruction.NearBranchTarget - instruction.NextIP))))
            {
                decoder = Decoder.Create(
                    64, new ByteArrayCodeReader(code, offset + (int)(instruction.NearBranchTarget - address), (int)(end - instruction.NearBranchTarget)), instruction.NearBranchTarget);
                continue;
            }

            if (instruction.Mnemonic != Mnemonic.Nop)
            {
                stream.Add(instruction);
                ended = instruction.FlowControl is FlowControl.UnconditionalBranch or FlowControl.Return or FlowControl.IndirectBranch;
            }
        }

        return true;
    }
}
