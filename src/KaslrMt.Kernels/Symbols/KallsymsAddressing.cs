namespace KaslrMt.Kernels;

/// <summary>How an entry of <c>kallsyms_offsets</c> becomes an address (<c>kallsyms_sym_address</c> in <c>kernel/kallsyms.c</c>).</summary>
public enum KallsymsAddressing
{
    /// <summary>
    /// Signed: an entry ≥ 0 is an absolute (per-CPU) value, one below 0 is <c>relative_base − 1 − entry</c>.
    /// CONFIG_KALLSYMS_ABSOLUTE_PERCPU, every SMP x86-64 kernel up to 6.14.
    /// </summary>
    AbsolutePerCpu,

    /// <summary>Unsigned: <c>relative_base + entry</c>. From 6.15, where per-CPU symbols have ordinary addresses.</summary>
    BaseRelative,

    /// <summary>Signed, from the entry's own address: <c>&amp;kallsyms_offsets[i] + entry</c>. From 7.0; there is no relative_base.</summary>
    PlaceRelative,
}
