using Iced.Intel;

namespace KaslrMt.Kernels;

/// <summary>The decoded instructions of one kernel function, as linked.</summary>
/// <param name="Name">The function's symbol.</param>
/// <param name="Start">Its link address.</param>
/// <param name="FileOffset">Where its first byte lies in the image's file.</param>
/// <param name="Instructions">Its instructions in address order; what does not decode is left out.</param>
internal sealed record KernelFunction(string Name, VirtualAddress Start, int FileOffset, IReadOnlyList<Instruction> Instructions)
{
    // setup_arch, the largest function looked at, has 8 KiB; the cap bounds the work on a hostile symbol table.
    private const int MaximumSize = 64 * 1024;

    /// <summary>Decodes the function.</summary>
    /// <param name="file">The image's file.</param>
    /// <param name="elf">Its headers.</param>
    /// <param name="name">The function's symbol.</param>
    /// <param name="start">Its link address.</param>
    /// <param name="length">The distance to the next symbol in bytes.</param>
    /// <exception cref="KaslrMtException">KMT2502 when the symbol does not lie in the image's bytes.</exception>
    public static KernelFunction Decode(ReadOnlySpan<byte> file, ElfImage elf, string name, VirtualAddress start, ulong length)
    {
        int size = (int)Math.Min(length, MaximumSize);
        int offset = 0;
        while (size > 0 && !elf.TryGetFileOffset(start, size, out offset))
        {
            size /= 2;
        }

        if (size == 0)
        {
            throw new KaslrMtException(KernelErrors.CallSite, $"{name} at link address {start} has no bytes in the image", "the symbol table is corrupt");
        }

        var decoder = Decoder.Create(64, file.Slice(offset, size).ToArray(), start.Value);
        var instructions = new List<Instruction>(size / 4);
        ulong end = start.Value + (ulong)size;
        while (decoder.IP < end)
        {
            decoder.Decode(out Instruction instruction);
            if (!instruction.IsInvalid)
            {
                instructions.Add(instruction);
            }
        }

        return new KernelFunction(name, start, offset, instructions);
    }

    /// <summary>The indexes of the direct calls (5 bytes, <c>e8 rel32</c>) to one of the targets.</summary>
    public IEnumerable<int> CallsTo(IReadOnlyCollection<VirtualAddress> targets)
    {
        for (int i = 0; i < Instructions.Count; i++)
        {
            Instruction instruction = Instructions[i];
            if (instruction.Code == Code.Call_rel32_64 && instruction.Length == 5 && targets.Contains(new VirtualAddress(instruction.NearBranchTarget)))
            {
                yield return i;
            }
        }
    }

    /// <summary>Where an instruction's first byte lies in the image's file.</summary>
    public int OffsetOf(int index) => FileOffset + (int)(Instructions[index].IP - Start.Value);
}
