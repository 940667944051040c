namespace KaslrMt.Guests;

/// <summary>What the kernel switches in its text while it runs: jump labels, static calls, trace sites; and at boot: locks, sealed entries, paravirt calls.</summary>
internal sealed class SwitchRules(CodePair code, CodeSymbols symbols, BranchRules branches, Func<ulong, ulong?> readWord)
{
    private const byte Call = 0xe8;
    private const byte Jump = 0xe9;
    private const byte ShortJump = 0xeb;
    private const int BranchSize = 5;
    private const int SealSize = 4;
    private const int PointerSize = 8;

    // A pv_ops type is one byte.
    private readonly Dictionary<ulong, ulong?> _words = [];

    private static ReadOnlySpan<byte> Nop2 => [0x66, 0x90];

    /// <summary><c>cs cs cs xor eax, eax</c>: a static call that returns 0.</summary>
    private static ReadOnlySpan<byte> ReturnZero => [0x2e, 0x2e, 0x2e, 0x31, 0xc0];

    /// <summary>No-operation, or jump to the label's own target (<c>arch/x86/kernel/jump_label.c</c>).</summary>
    public void JumpLabels(IEnumerable<(ulong Code, ulong Target)> labels)
    {
        foreach ((ulong site, ulong target) in labels)
        {
            if (!code.TryOffset(site, 2, out int at))
            {
                continue;
            }

            bool small = code.Expected[at] == ShortJump || code.Expected[at..].StartsWith(Nop2);
            int length = small ? 2 : BranchSize;
            if (at + length > code.Length || code.Agrees(at, length))
            {
                continue;
            }

            ReadOnlySpan<byte> found = code.Found.Slice(at, length);
            bool legal = small
                ? BranchRules.NopLength(found) == length || (found[0] == ShortJump && BranchRules.ShortTarget(code, code.Found, at) == target)
                : BranchRules.NopLength(found) == length || (found[0] == Jump && code.Target(code.Found, at) == target);
            if (legal)
            {
                code.Accept(at, length);
            }
        }
    }

    /// <summary>A call of what the static call's key holds now, or what stands for "nothing" and "return 0" (<c>arch/x86/kernel/static_call.c</c>).</summary>
    public void StaticCalls(IEnumerable<(ulong Code, ulong Key, bool IsTail)> sites)
    {
        foreach ((ulong site, ulong key, bool isTail) in sites)
        {
            if (!code.TryOffset(site, BranchSize, out int at))
            {
                continue;
            }

            bool conditional = code.Expected[at] == 0x0f && (code.Expected[at + 1] & 0xf0) == 0x80;
            int length = conditional ? BranchSize + 1 : BranchSize;
            if (at + length > code.Length || code.Agrees(at, length))
            {
                continue;
            }

            ReadOnlySpan<byte> found = code.Found.Slice(at, length);
            bool legal = conditional
                ? found[..2].SequenceEqual(code.Expected.Slice(at, 2)) && (IsKeys(code.Target(code.Found, at, length), key) || symbols.ReturnThunks.Contains(code.Target(code.Found, at, length)))
                : isTail
                    ? branches.IsReturn(code.Found, at) || (found[0] == Jump && IsKeys(code.Target(code.Found, at), key))
                    : BranchRules.NopLength(found) == length || found.SequenceEqual(ReturnZero) || IsWarning(found, key) || (found[0] == Call && IsKeys(code.Target(code.Found, at), key));
            if (legal)
            {
                code.Accept(at, length);
            }
        }
    }

    /// <summary>A static call's trampoline jumps to what its key holds, or returns.</summary>
    public void Trampolines(IEnumerable<(ulong Trampoline, ulong Key)> trampolines)
    {
        foreach ((ulong site, ulong key) in trampolines)
        {
            if (code.TryOffset(site, BranchSize, out int at) && !code.Agrees(at, BranchSize)
                && (branches.IsReturn(code.Found, at) || (code.Found[at] == Jump && IsKeys(code.Target(code.Found, at), key))))
            {
                code.Accept(at, BranchSize);
            }
        }
    }

    /// <summary>A no-operation, or a call of the tracer's own entries (<c>arch/x86/kernel/ftrace.c</c>).</summary>
    public void TraceSites(IEnumerable<ulong> sites)
    {
        foreach (ulong site in sites)
        {
            if (code.TryOffset(site, BranchSize, out int at) && !code.Agrees(at, BranchSize)
                && (BranchRules.NopLength(code.Found.Slice(at, BranchSize)) == BranchSize || (code.Found[at] == Call && symbols.TraceEntries.Contains(code.Target(code.Found, at)))))
            {
                code.Accept(at, BranchSize);
            }
        }
    }

    /// <summary>The calls inside the tracer's entries lead to the tracer that is set, always a function of the kernel.</summary>
    public void TraceCalls()
    {
        foreach (string name in (string[])["ftrace_call", "ftrace_regs_call", "ftrace_graph_call"])
        {
            if (symbols.Named(name) is ulong site && code.TryOffset(site, BranchSize, out int at) && !code.Agrees(at, BranchSize)
                && (BranchRules.NopLength(code.Found.Slice(at, BranchSize)) == BranchSize
                    || (code.Found[at] is Call or Jump && symbols.IsFunction(code.Target(code.Found, at)))))
            {
                code.Accept(at, BranchSize);
            }
        }
    }

    /// <summary>On one processor a lock prefix becomes a DS prefix.</summary>
    public void Locks(IEnumerable<ulong> prefixes)
    {
        const byte Lock = 0xf0;
        const byte DsPrefix = 0x3e;
        foreach (ulong prefix in prefixes)
        {
            if (code.TryOffset(prefix, 1, out int at) && code.Expected[at] == Lock && code.Found[at] == DsPrefix)
            {
                code.Accept(at, 1);
            }
        }
    }

    /// <summary>An entry that nothing calls indirectly loses its <c>endbr64</c>.</summary>
    public void Seals(IEnumerable<ulong> entries)
    {
        ReadOnlySpan<byte> branchEnd = [0xf3, 0x0f, 0x1e, 0xfa];
        foreach (ulong entry in entries)
        {
            if (code.TryOffset(entry, SealSize, out int at) && code.Expected.Slice(at, SealSize).SequenceEqual(branchEnd)
                && BranchRules.NopLength(code.Found.Slice(at, SealSize)) == SealSize)
            {
                code.Accept(at, SealSize);
            }
        }
    }

    /// <summary>Before 6.8: an indirect call through <c>pv_ops</c> becomes a direct one, or nothing (<c>arch/x86/kernel/paravirt.c</c>, <c>paravirt_patch</c>).</summary>
    public void ParavirtCalls(IEnumerable<(ulong Code, int Type, int Length)> calls)
    {
        ulong? operations = symbols.Named("pv_ops");
        foreach ((ulong site, int type, int length) in calls)
        {
            if (length == 0 || !code.TryOffset(site, length, out int at) || code.Agrees(at, length))
            {
                continue;
            }

            ReadOnlySpan<byte> found = code.Found.Slice(at, length);
            bool legal = BranchRules.IsFilling(found) && !found.Contains((byte)0xcc);
            byte branch = code.Expected[at] == 0xff && code.Expected[at + 1] == 0x25 ? Jump : Call;
            if (!legal && length > BranchSize && found[0] == branch && BranchRules.IsFilling(found[BranchSize..]) && operations is ulong table)
            {
                ulong target = code.Target(code.Found, at);
                legal = symbols.IsFunction(target) && (target == Word(table + ((ulong)type * PointerSize)) || target == symbols.Named("paravirt_BUG"));
            }

            if (legal || NativeOperations.Contains(found))
            {
                code.Accept(at, length);
            }
        }
    }

    /// <summary>The value of the constant's variable; where the variable has no symbol, whatever all places have.</summary>
    public void RuntimeConstants(IEnumerable<PatchTables.RuntimeConstant> constants)
    {
        Span<byte> value = stackalloc byte[PointerSize];
        foreach (PatchTables.RuntimeConstant constant in constants)
        {
            value.Clear();
            bool known = constant.Variable is ulong variable && Word(variable) is ulong word && BitConverter.TryWriteBytes(value, word);
            foreach (ulong site in constant.Sites)
            {
                if (!code.TryOffset(site, constant.Width, out int at))
                {
                    continue;
                }

                if (!known)
                {
                    code.Found.Slice(at, constant.Width).CopyTo(value);
                    known = true;
                }

                if (code.Found.Slice(at, constant.Width).SequenceEqual(value[..constant.Width]))
                {
                    code.Accept(at, constant.Width);
                }
            }
        }
    }

    /// <summary>What a word of the guest's data holds.</summary>
    public ulong? Word(ulong address)
    {
        if (!_words.TryGetValue(address, out ulong? value))
        {
            _words[address] = value = readWord(address);
        }

        return value;
    }

    // 6.19 on: a warning's static call becomes the trap that __WARN_trap stands for, "ud1 rdi, [edx]".
    private bool IsWarning(ReadOnlySpan<byte> found, ulong key) =>
        found.SequenceEqual((ReadOnlySpan<byte>)[0x67, 0x48, 0x0f, 0xb9, 0x3a]) && symbols.Named("__WARN_trap") is ulong trap && Word(key) == trap;

    // A key is data, which an attacker may change too; what it names must still be a function of this kernel, or lie outside it (KVM's module sets some).
    private bool IsKeys(ulong target, ulong key) => target == Word(key) && (symbols.IsFunction(target) || !code.TryOffset(target, 1, out _));
}
