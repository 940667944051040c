using System.Collections.Frozen;
using System.Text;

namespace KaslrMt.Kernels;

/// <summary>
/// The symbols that the linker makes absolute although some are addresses. Which are which was audited by the kernel's authors
/// (the name lists in <c>arch/x86/tools/relocs.c</c>); this is what 5.10 to 6.12 know, taken together.
/// </summary>
internal static class AbsoluteSymbols
{
    private static readonly FrozenSet<string> Addresses = FrozenSet.Create(
        StringComparer.Ordinal,
        [
            .. Ends("__init_", "begin", "end"),
            .. Ends("__x86_cpu_dev_", "start", "end"),
            .. Ends("__alt_instructions", "", "_end"),
            .. Ends("__parainstructions", "", "_end"),
            .. Ends("__iommu_table", "", "_end"),
            .. Ends("__apicdrivers", "", "_end"),
            .. Ends("__smp_locks", "", "_end"),
            .. Ends("__tracedata_", "start", "end"),
            .. Ends("__end_rodata", "", "_aligned", "_hpage_align"),
            .. Ends("__start_", "builtin_fw", "notes"),
            .. Ends("__end_", "builtin_fw"),
            .. Ends("__stop_", "notes"),
            .. Ends("__start___", TableNames),
            .. Ends("__stop___", TableNames),
            .. Ends("jiffies", "", "_64"),
            "__initramfs_start", "__per_cpu_load", "__vvar_page", "_end",
        ]);

    private static readonly int LongestAddress = Addresses.Max(name => name.Length);

    private static string[] TableNames =>
    [
        "ksymtab", "ksymtab_gpl", "ksymtab_unused", "ksymtab_unused_gpl", "ksymtab_gpl_future",
        "kcrctab", "kcrctab_gpl", "kcrctab_unused", "kcrctab_unused_gpl", "kcrctab_gpl_future",
        "param", "modver", "bug_table",
    ];

    /// <summary>What an absolute symbol of that name is.</summary>
    internal static RelaSymbolKind Classify(ReadOnlySpan<byte> name)
    {
        bool constant = name.StartsWith("__crc_"u8)
            || name.StartsWith("__kcfi_typeid_"u8)
            || name.StartsWith("VDSO"u8)
            || name.SequenceEqual("xen_irq_disable_direct_reloc"u8)
            || name.SequenceEqual("xen_save_fl_direct_reloc"u8);
        bool address = name.StartsWith("init_per_cpu__"u8)
            || name.StartsWith("__start_pci_"u8)
            || name.StartsWith("__end_pci_"u8)
            || (!constant && name.Length <= LongestAddress && Addresses.Contains(Encoding.Latin1.GetString(name)));
        return address ? RelaSymbolKind.Moves : constant ? RelaSymbolKind.Constant : RelaSymbolKind.Absolute;
    }

    private static IEnumerable<string> Ends(string prefix, params string[] ends) => ends.Select(end => prefix + end);
}
