namespace KaslrMt.Kernels;

/// <summary>One section header of a vmlinux, checked: its bytes lie in the file.</summary>
/// <param name="Name">The name, printable ASCII without its terminating zero; empty in a file that names no string table.</param>
/// <param name="Type">What the section holds.</param>
/// <param name="Flags">The <c>sh_flags</c> as they stand.</param>
/// <param name="Address">Its link address, 0 for sections that are not loaded (and for the zero-based per-CPU section).</param>
/// <param name="FileOffset">Where its bytes begin in the file; 0 for a section without bytes.</param>
/// <param name="FileSize">Bytes in the file: 0 for <see cref="ElfSectionType.NoBits"/>.</param>
/// <param name="Size">Bytes in memory.</param>
/// <param name="Link">The <c>sh_link</c>: for relocations the symbol table's index, for symbols the string table's.</param>
/// <param name="Info">The <c>sh_info</c>: for relocations the index of the section they change.</param>
/// <param name="EntrySize">Bytes of each entry, 0 where the section is not a table.</param>
public readonly record struct ElfSection(
    string Name,
    ElfSectionType Type,
    ElfSectionFlags Flags,
    VirtualAddress Address,
    int FileOffset,
    int FileSize,
    ulong Size,
    uint Link,
    uint Info,
    ulong EntrySize);
