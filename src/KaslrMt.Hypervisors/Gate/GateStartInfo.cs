namespace KaslrMt.Hypervisors;

/// <summary>Offsets in <c>struct hvm_start_info</c> (Xen's <c>arch-x86/hvm/start_info.h</c>), bytes.</summary>
internal static class GateStartInfo
{
    /// <summary>The magic number, 4 bytes.</summary>
    internal const int Magic = 0x00;

    /// <summary>The version, 4 bytes; a memory map is there from 1 on.</summary>
    internal const int Version = 0x04;

    /// <summary>The command line's address, 8 bytes; 0 for none.</summary>
    internal const int CommandLine = 0x18;

    /// <summary>The address of ACPI's root pointer, 8 bytes; 0 for none.</summary>
    internal const int Rsdp = 0x20;

    /// <summary>The memory map's address, 8 bytes.</summary>
    internal const int MapAddress = 0x28;

    /// <summary>How many entries the memory map has, 4 bytes.</summary>
    internal const int MapCount = 0x30;
}
