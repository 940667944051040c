using System.Text;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>What the patch rules must know of a kernel's symbols, at the guest's addresses; from the image.</summary>
internal sealed class CodeSymbols
{
    private static readonly string[] Registers =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    private readonly HashSet<ulong> _functions = [];
    private readonly Dictionary<string, ulong> _staticCallKeys = [];
    private readonly List<(string Name, ulong Address)> _trampolines = [];
    private readonly List<(string Name, VirtualAddress Start)> _runtimeTables = [];
    private readonly Dictionary<string, ulong> _named = [];

    /// <summary>Collects them in one pass.</summary>
    public CodeSymbols(Kallsyms symbols, ulong slide)
    {
        HashSet<string> wanted = [.. WantedNames, .. Registers.SelectMany(register => ThunkNames(register))];
        var lookup = wanted.GetAlternateLookup<ReadOnlySpan<char>>();
        Span<char> name = stackalloc char[Kallsyms.MaxNameBytes];
        foreach (KallsymsEntry symbol in symbols)
        {
            ulong address = unchecked(symbol.Address.Value + slide);
            if (symbol.Type is 'T' or 't' or 'W' or 'w')
            {
                _functions.Add(address);
            }

            // Every name that is wanted begins so; the rest is not worth a look.
            ReadOnlySpan<byte> bytes = symbol.NameBytes;
            if (bytes.StartsWith("__SCK__"u8))
            {
                _staticCallKeys.TryAdd(Encoding.ASCII.GetString(bytes[7..]), address);
            }
            else if (bytes.StartsWith("__SCT__"u8))
            {
                _trampolines.Add((Encoding.ASCII.GetString(bytes[7..]), address));
            }
            else if (bytes.StartsWith("__start_runtime_"u8))
            {
                _runtimeTables.Add((Encoding.ASCII.GetString(bytes[16..]), symbol.Address));
            }
            else if (bytes.Length is > 5 and < 40)
            {
                Span<char> text = name[..Encoding.ASCII.GetChars(bytes, name)];
                if (lookup.TryGetValue(text, out string? found))
                {
                    _named.TryAdd(found, address);
                }
            }
        }

        for (int register = 0; register < Registers.Length; register++)
        {
            foreach (string thunk in ThunkNames(Registers[register]))
            {
                if (_named.TryGetValue(thunk, out ulong address))
                {
                    IndirectThunks[address] = register;
                }
            }
        }

        ReturnThunks = [.. ReturnThunkNames.Where(_named.ContainsKey).Select(thunk => _named[thunk])];
        TraceEntries = [.. TraceNames.Where(_named.ContainsKey).Select(entry => _named[entry])];
    }

    /// <summary>What the kernel's returns may lead to.</summary>
    public HashSet<ulong> ReturnThunks { get; }

    /// <summary>Which register each indirect-branch thunk jumps by, as instructions number them.</summary>
    public Dictionary<ulong, int> IndirectThunks { get; } = [];

    /// <summary>What a traced function may call first.</summary>
    public HashSet<ulong> TraceEntries { get; }

    /// <summary>The trampolines of static calls, with their keys.</summary>
    public IEnumerable<(ulong Trampoline, ulong Key)> Trampolines =>
        _trampolines.Where(entry => _staticCallKeys.ContainsKey(entry.Name)).Select(entry => (entry.Address, _staticCallKeys[entry.Name]));

    /// <summary>The tables of run-time constants (<c>arch/x86/include/asm/runtime-const.h</c>), as linked: <c>ptr_dentry_hashtable</c>.</summary>
    public IReadOnlyList<(string Name, VirtualAddress Start)> RuntimeTables => _runtimeTables;

    private static string[] ReturnThunkNames { get; } =
    [
        "__x86_return_thunk", "srso_return_thunk", "srso_alias_return_thunk", "retbleed_return_thunk", "zen_return_thunk",
        "call_depth_return_thunk", "its_return_thunk", "__ret",
    ];

    private static string[] TraceNames { get; } = ["__fentry__", "ftrace_caller", "ftrace_regs_caller"];

    private static string[] WantedNames { get; } =
    [
        .. ReturnThunkNames, .. TraceNames, "BUG_func", "nop_func", "pv_ops", "paravirt_BUG",
        "ftrace_call", "ftrace_regs_call", "ftrace_graph_call", "__WARN_trap",
    ];

    /// <summary>The address of one of the rules' symbols.</summary>
    public ulong? Named(string name) => _named.TryGetValue(name, out ulong address) ? address : null;

    /// <summary>Whether a function begins at an address.</summary>
    public bool IsFunction(ulong address) => _functions.Contains(address);

    private static string[] ThunkNames(string register) =>
        [$"__x86_indirect_thunk_{register}", $"__x86_indirect_its_thunk_{register}", $"__x86_indirect_call_thunk_{register}", $"__x86_indirect_jump_thunk_{register}"];
}
