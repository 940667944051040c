using Iced.Intel;

namespace KaslrMt.Guests;

/// <summary>What the kernel replaces by the processor's features: at each place the original, or one of its replacements, moved there.</summary>
/// <remarks>
/// Which of them it must be depends on the guest's processor; each is the kernel's own code, so each is taken. Compared are instructions, by what
/// they do and where they lead, not bytes: kernels differ in how they pad, shorten jumps and adjust distances (<c>apply_alternatives</c>).
/// </remarks>
internal sealed class AlternativeRules(CodePair code, CodeSymbols symbols, SwitchRules switches, Func<ulong, int, byte[]> readImage)
{
    private readonly List<Instruction> _found = [];
    private readonly List<Instruction> _candidate = [];

    /// <summary>Accepts the places that hold one of their alternatives.</summary>
    public void Apply(IReadOnlyList<PatchTables.Alternative> alternatives)
    {
        for (int i = 0; i < alternatives.Count;)
        {
            // Consecutive entries for one place are nested alternatives; the longest says how much of the text they cover.
            int first = i;
            int length = 0;
            for (; i < alternatives.Count && alternatives[i].Code == alternatives[first].Code; i++)
            {
                length = Math.Max(length, alternatives[i].Length);
            }

            ulong address = alternatives[first].Code;
            if (code.TryOffset(address, length, out int at) && !code.Agrees(at, length)
                && InstructionStream.TryDecode(code.FoundArray, at, length, address, _found)
                && (IsOriginal(at, length, address) || alternatives.Skip(first).Take(i - first).Any(alternative => IsReplacement(alternative, at, length))))
            {
                code.Accept(at, length);
            }
        }
    }

    private bool IsOriginal(int at, int length, ulong address) =>
        InstructionStream.TryDecode(code.ExpectedArray, at, length, address, _candidate)
        && Matches(code.ExpectedArray, at, address, address, length, at, 0);

    private bool IsReplacement(PatchTables.Alternative alternative, int at, int length)
    {
        byte[] bytes = readImage(alternative.Replacement, alternative.ReplacementLength);
        return bytes.Length == alternative.ReplacementLength
            && InstructionStream.TryDecode(bytes, 0, bytes.Length, alternative.Replacement, _candidate)
            && Matches(bytes, 0, alternative.Replacement, alternative.Code, bytes.Length, at, length);
    }

    /// <summary>Compares the decoded candidate with what was found.</summary>
    /// <param name="bytes">The candidate's bytes.</param>
    /// <param name="offset">Where the candidate begins in them.</param>
    /// <param name="from">The candidate's own address.</param>
    /// <param name="to">The address it is moved to.</param>
    /// <param name="length">The candidate's length.</param>
    /// <param name="at">Where it is moved to, in the text.</param>
    /// <param name="site">The length of the place; 0 for the original.</param>
    private bool Matches(byte[] bytes, int offset, ulong from, ulong to, int length, int at, int site)
    {
        int next = 0;
        foreach (Instruction wanted in _candidate)
        {
            if (site > 0 && IsCallOfOperation(wanted, at, out ulong? operation))
            {
                // 6.8 on: "call BUG_func" stands for a direct call of what the original calls through pv_ops, or for nothing.
                if (operation == symbols.Named("nop_func"))
                {
                    continue;
                }

                if (next >= _found.Count || _found[next].Code != Code.Call_rel32_64 || _found[next].NearBranchTarget != operation || !symbols.IsFunction(operation.Value))
                {
                    return false;
                }

                next++;
                continue;
            }

            if (next >= _found.Count || !Same(wanted, _found[next], bytes, offset + (int)(wanted.IP - from), from, to, length, at + (int)(_found[next].IP - to)))
            {
                return false;
            }

            next++;
        }

        return next == _found.Count;
    }

    private bool IsCallOfOperation(in Instruction wanted, int at, out ulong? operation)
    {
        operation = null;
        if (wanted.Code != Code.Call_rel32_64 || wanted.NearBranchTarget != symbols.Named("BUG_func"))
        {
            return false;
        }

        var original = Decoder.Create(64, new ByteArrayCodeReader(code.ExpectedArray, at, Math.Min(16, code.Length - at)), code.Start + (ulong)at).Decode();
        if (original.Code != Code.Call_rm64 || original.Op0Kind != OpKind.Memory)
        {
            return false;
        }

        operation = switches.Word(original.IsIPRelativeMemoryOperand ? original.IPRelativeMemoryAddress : original.MemoryDisplacement64);
        return operation is not null;
    }

    private bool Same(in Instruction wanted, in Instruction found, byte[] bytes, int wantedAt, ulong from, ulong to, int length, int foundAt)
    {
        if (IsReturnThunk(wanted) && (found.Mnemonic == Mnemonic.Ret || IsReturnThunk(found)))
        {
            return true;
        }

        if (IsNearBranch(wanted))
        {
            ulong target = wanted.NearBranchTarget;
            if (symbols.IndirectThunks.TryGetValue(target, out int register))
            {
                ReadOnlySpan<byte> there = code.Found.Slice(foundAt, found.Length);
                byte opcode = wanted.Mnemonic == Mnemonic.Call ? (byte)0xe8 : (byte)0xe9;
                return BranchRules.IsIndirect(there, opcode, register)
                    || (IsNearBranch(found) && found.Mnemonic == wanted.Mnemonic && symbols.IndirectThunks.TryGetValue(found.NearBranchTarget, out int other) && other == register);
            }

            target = unchecked(target - from) <= (ulong)length ? unchecked(target - from + to) : target;
            return IsNearBranch(found) && found.Mnemonic == wanted.Mnemonic && found.NearBranchTarget == target;
        }

        ReadOnlySpan<byte> mine = bytes.AsSpan(wantedAt, wanted.Length);
        ReadOnlySpan<byte> theirs = code.Found.Slice(foundAt, found.Length);
        if (mine.SequenceEqual(theirs))
        {
            return true;
        }

        // The lock prefix of one processor's kernel.
        if (mine.Length == theirs.Length && mine[0] == 0xf0 && theirs[0] == 0x3e && mine[1..].SequenceEqual(theirs[1..]))
        {
            return true;
        }

        return wanted.IsIPRelativeMemoryOperand && found.IsIPRelativeMemoryOperand && wanted.Code == found.Code
            && wanted.IPRelativeMemoryAddress == found.IPRelativeMemoryAddress && SameButDisplacement(wanted, mine, found, theirs);
    }

    // Displacements are the last four bytes but for an immediate behind them; what is before and behind must be the same.
    private static bool SameButDisplacement(in Instruction wanted, ReadOnlySpan<byte> mine, in Instruction found, ReadOnlySpan<byte> theirs)
    {
        int displaced = wanted.Length - found.Length == 0 ? DisplacementOffset(mine) : -1;
        return displaced >= 0 && mine[..displaced].SequenceEqual(theirs[..displaced]) && mine[(displaced + 4)..].SequenceEqual(theirs[(displaced + 4)..]);
    }

    private static int DisplacementOffset(ReadOnlySpan<byte> instruction)
    {
        var decoder = Decoder.Create(64, instruction.ToArray());
        Instruction decoded = decoder.Decode();
        ConstantOffsets offsets = decoder.GetConstantOffsets(decoded);
        return offsets.HasDisplacement && offsets.DisplacementSize == 4 ? offsets.DisplacementOffset : -1;
    }

    private bool IsReturnThunk(in Instruction instruction) =>
        instruction.Mnemonic == Mnemonic.Jmp && IsNearBranch(instruction) && symbols.ReturnThunks.Contains(instruction.NearBranchTarget);

    private static bool IsNearBranch(in Instruction instruction) => instruction.Op0Kind is OpKind.NearBranch64 or OpKind.NearBranch32 or OpKind.NearBranch16;
}
