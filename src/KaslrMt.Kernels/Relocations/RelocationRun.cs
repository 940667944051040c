namespace KaslrMt.Kernels;

/// <summary>Entries of one list that lie in one segment.</summary>
/// <param name="First">The index of the first entry.</param>
/// <param name="Count">How many entries.</param>
/// <param name="Physical">The segment's physical address as linked.</param>
/// <param name="FileOffset">Where the segment's bytes begin in the file.</param>
/// <param name="Size">The segment's bytes in the file; every entry's place lies inside.</param>
internal readonly record struct RelocationRun(int First, int Count, ulong Physical, int FileOffset, int Size);
