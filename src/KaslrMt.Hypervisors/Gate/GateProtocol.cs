namespace KaslrMt.Hypervisors;

/// <summary>Where gate and host leave each other words, in the guest's physical memory: version 1, see <c>docs/gate.md</c>.</summary>
/// <remarks>
/// All of it lies in one area between the memory that firmware uses and the lowest place of a kernel (16 MiB). Every word in it is the guest's to write at any
/// moment: the host copies what it reads once, and believes none of it.
/// </remarks>
internal static class GateProtocol
{
    /// <summary>Where the area begins.</summary>
    internal const uint Area = 0x180000;

    /// <summary>How many pages it has.</summary>
    internal const int AreaPages = 18;

    /// <summary>The gate's code, one page.</summary>
    internal const uint Code = Area;

    /// <summary>The mailbox, one page.</summary>
    internal const uint Mailbox = Area + 0x1000;

    /// <summary>Firmware's <c>hvm_start_info</c>, copied by the gate.</summary>
    internal const uint StartInfo = Area + 0x2000;

    /// <summary>Firmware's memory map, copied by the gate: <c>hvm_memmap_table_entry</c>, 24 bytes each.</summary>
    internal const uint MemoryMap = StartInfo + 0x40;

    /// <summary>The command line that firmware was given, copied by the gate; ends with a zero.</summary>
    internal const uint FirmwareLine = Area + 0x3000;

    /// <summary>The gate's interrupt table; its stack grows down from the page's end.</summary>
    internal const uint InterruptTable = Area + 0x4000;

    /// <summary>The zero page, written by the host.</summary>
    internal const uint ZeroPage = Area + 0x5000;

    /// <summary>The kernel's command line, written by the host; ends with a zero.</summary>
    internal const uint CommandLine = Area + 0x6000;

    /// <summary>The list of <see cref="GateRange"/>, written by the host.</summary>
    internal const uint Ranges = Area + 0x7000;

    /// <summary>Page tables for the kernel's entry, written by the host.</summary>
    internal const uint PageTables = Area + 0x8000;

    /// <summary>The most bytes of either command line, with the zero.</summary>
    internal const int LongestLine = 4096;

    /// <summary>The most entries of firmware's memory map.</summary>
    internal const int MostMapEntries = 128;

    /// <summary>The size of <c>hvm_start_info</c>, bytes.</summary>
    internal const int StartInfoSize = 56;

    /// <summary>The size of an entry of firmware's memory map, bytes.</summary>
    internal const int MapEntrySize = 24;

    /// <summary>Eight bytes that every gate's mailbox begins with; the last character is the version.</summary>
    internal const ulong Magic = 0x3145544147544d4b; // "KMTGATE1"

    /// <summary>Offset in the mailbox: what the gate does, 4 bytes.</summary>
    internal const int State = 0x08;

    /// <summary>Offset in the mailbox: the host's word to go, 4 bytes. The gate goes on when it equals the <see cref="Session"/>.</summary>
    internal const int Go = 0x0c;

    /// <summary>Offset in the mailbox: what the processor can do, 4 bytes.</summary>
    internal const int Features = 0x10;

    /// <summary>Offset in the mailbox: the physical address of the kernel's 64-bit entry, 8 bytes.</summary>
    internal const int Entry = 0x18;

    /// <summary>Offset in the mailbox: a number that the gate draws each time it comes to wait, 4 bytes, never 0.</summary>
    internal const int Session = 0x20;

    /// <summary>The gate waits: from here on the host may write.</summary>
    internal const uint Waiting = 0x54494157; // "WAIT"

    /// <summary>The gate has seen the host's word and touches what was written.</summary>
    internal const uint Touching = 0x48435554; // "TUCH"

    /// <summary>The gate is about to enter the kernel.</summary>
    internal const uint Entering = 0x52544e45; // "ENTR"

    /// <summary>In <see cref="Features"/>: the processor has five-level page tables (CPUID leaf 7, ECX bit 16).</summary>
    internal const uint FiveLevels = 1;

    /// <summary>The magic number of <c>hvm_start_info</c>.</summary>
    internal const uint StartInfoMagic = 0x336ec578;
}
