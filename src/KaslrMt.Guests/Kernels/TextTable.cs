namespace KaslrMt.Guests;

/// <summary>A table that looks as if it led to a kernel's text.</summary>
/// <param name="Top">A table whose last entry leads to it: a top table of four levels, or the next lower one of five.</param>
/// <param name="Table">What that entry leads to (<c>level3_kernel_pgt</c>).</param>
/// <param name="Mapped">How many entries of the text's GiB it maps: the kernel itself maps more than what page-table isolation shows to users.</param>
internal readonly record struct TextTable(PhysicalAddress Top, PhysicalAddress Table, int Mapped);
