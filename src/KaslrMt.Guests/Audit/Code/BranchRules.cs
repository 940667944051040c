namespace KaslrMt.Guests;

/// <summary>What the kernel writes over its own returns and indirect branches: returns, return thunks, retpolines.</summary>
/// <remarks><c>arch/x86/kernel/alternative.c</c>: <c>patch_return</c>, <c>patch_retpoline</c>.</remarks>
internal sealed class BranchRules(CodePair code, CodeSymbols symbols)
{
    private const byte Call = 0xe8;
    private const byte Jump = 0xe9;
    private const byte ShortJump = 0xeb;
    private const byte Return = 0xc3;
    private const byte Int3 = 0xcc;
    private const byte CsPrefix = 0x2e;
    private const int BranchSize = 5;

    /// <summary>A jump to the return thunk stays, leads to another return thunk, or becomes a return.</summary>
    public void Returns(IEnumerable<ulong> sites)
    {
        foreach (ulong site in sites)
        {
            if (code.TryOffset(site, BranchSize, out int at) && !code.Agrees(at, BranchSize) && IsReturn(code.Found, at))
            {
                code.Accept(at, BranchSize);
            }
        }
    }

    /// <summary>Whether a return, padded with traps, or a jump to a return thunk lies there.</summary>
    public bool IsReturn(ReadOnlySpan<byte> text, int at) =>
        (text[at] == Return && text.Slice(at + 1, BranchSize - 1).IndexOfAnyExcept(Int3) < 0)
        || (text[at] == Jump && symbols.ReturnThunks.Contains(code.Target(text, at)));

    /// <summary>A branch through an indirect thunk becomes a branch by the same register, or goes through another thunk of that register.</summary>
    public void Retpolines(IEnumerable<ulong> sites)
    {
        foreach (ulong site in sites)
        {
            if (!code.TryOffset(site, BranchSize, out int at))
            {
                continue;
            }

            int prefix = code.Expected[at] == CsPrefix ? 1 : 0;
            int length = BranchSize + prefix;
            bool conditional = code.Expected[at] == 0x0f;
            length = conditional ? BranchSize + 1 : length;
            if (at + length > code.Length || code.Agrees(at, length) || !symbols.IndirectThunks.TryGetValue(code.Target(code.Expected, at, length), out int register))
            {
                continue;
            }

            byte opcode = conditional ? Jump : code.Expected[at + prefix];
            ReadOnlySpan<byte> found = code.Found.Slice(at, length);
            if (conditional && found[0] == (byte)(0x70 | ((code.Expected[at + 1] & 0xf) ^ 1)) && found[1] == length - 2)
            {
                found = found[2..];
            }

            if (IsIndirect(found, opcode, register) || (found[^BranchSize] == opcode && IsThunkOf(at + length - BranchSize, register)))
            {
                code.Accept(at, length);
            }
        }
    }

    /// <summary>Whether both lead to thunks of one register, or one to the thunk and the other by the register itself: the kernel's choice.</summary>
    public bool IsThunkOf(int at, int register) => symbols.IndirectThunks.TryGetValue(code.Target(code.Found, at), out int other) && other == register;

    /// <summary>Whether the bytes are a branch by that register, with a fence before it or not, and filling behind.</summary>
    internal static bool IsIndirect(ReadOnlySpan<byte> found, byte opcode, int register)
    {
        found = found.StartsWith((ReadOnlySpan<byte>)[0x0f, 0xae, 0xe8]) ? found[3..] : found;
        found = found.Length > 0 && found[0] == CsPrefix ? found[1..] : found;
        ReadOnlySpan<byte> branch =
            register < 8 ? [0xff, ModRm(opcode, register)] : [0x41, 0xff, ModRm(opcode, register)];
        return found.StartsWith(branch) && IsFilling(found[branch.Length..]);
    }

    /// <summary>Whether bytes are nothing but no-operations, traps, and short jumps over such.</summary>
    internal static bool IsFilling(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            // What a jump skips is looked at too, so the jump itself counts as two bytes of nothing.
            int length = bytes[0] is Int3 or 0x90 ? 1
                : bytes.Length >= 2 && bytes[0] == ShortJump && bytes[1] <= bytes.Length - 2 ? 2
                : NopLength(bytes);
            if (length == 0)
            {
                return false;
            }

            bytes = bytes[length..];
        }

        return true;
    }

    /// <summary>The length of the no-operation that bytes begin with, as the kernel writes them; 0 for none (<c>arch/x86/include/asm/nops.h</c>).</summary>
    internal static int NopLength(ReadOnlySpan<byte> bytes)
    {
        int prefixes = 0;
        while (prefixes < bytes.Length && prefixes < 10 && bytes[prefixes] is 0x66 or CsPrefix)
        {
            prefixes++;
        }

        ReadOnlySpan<byte> rest = bytes[prefixes..];
        int body = rest switch
        {
            [0x90, ..] => 1,
            [0x0f, 0x1f, 0x00, ..] => 3,
            [0x0f, 0x1f, 0x40, _, ..] => 4,
            [0x0f, 0x1f, 0x44, 0x00, _, ..] => 5,
            [0x0f, 0x1f, 0x80, _, _, _, _, ..] => 7,
            [0x0f, 0x1f, 0x84, 0x00, _, _, _, _, ..] => 8,
            _ => 0,
        };
        return body == 0 ? 0 : prefixes + body;
    }

    /// <summary>Whether a call or jump of 5 bytes lies there, and where it leads.</summary>
    internal static bool TryBranch(CodePair code, ReadOnlySpan<byte> text, int at, byte opcode, out ulong target)
    {
        target = text[at] == opcode ? code.Target(text, at) : 0;
        return text[at] == opcode;
    }

    /// <summary>A 2-byte jump's target.</summary>
    internal static ulong ShortTarget(CodePair code, ReadOnlySpan<byte> text, int at) => unchecked(code.Start + (ulong)(at + 2) + (ulong)(sbyte)text[at + 1]);

    private static byte ModRm(byte opcode, int register) => (byte)((opcode == Call ? 0xd0 : 0xe0) | (register & 7));
}
