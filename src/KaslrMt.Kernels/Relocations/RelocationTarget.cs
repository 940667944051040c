namespace KaslrMt.Kernels;

/// <summary>How the bytes that relocations change lie in a buffer: as in the file, or flat by physical address.</summary>
/// <param name="IsFlat">Whether the buffer is memory, beginning at <paramref name="Start"/>; else it is the file.</param>
/// <param name="Start">The physical address (as linked) of a flat buffer's first byte.</param>
internal readonly record struct RelocationTarget(bool IsFlat, ulong Start)
{
    /// <summary>Checks that the buffer holds the run's segment, which every place of the run lies in.</summary>
    internal void Require(ReadOnlySpan<byte> image, RelocationRun run)
    {
        ulong at = SegmentAt(run);
        if (at > (ulong)image.Length || (ulong)run.Size > (ulong)image.Length - at)
        {
            throw new ArgumentException(
                $"The buffer of {image.Length} bytes does not hold the segment of {run.Size} bytes at physical address 0x{run.Physical:x}.",
                nameof(image));
        }
    }

    /// <summary>What to add to an entry's low half to get its distance from the buffer's first byte.</summary>
    internal nint Bias(RelocationRun run) =>
        (nint)((long)SegmentAt(run) - (long)run.Physical - unchecked((uint)ElfImage.StartKernelMap));

    private ulong SegmentAt(RelocationRun run) => IsFlat ? unchecked(run.Physical - Start) : (ulong)run.FileOffset;
}
