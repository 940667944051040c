using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>A guest kernel's text against its image, after all that the kernel itself changes in it.</summary>
internal sealed class KernelCode
{

    // Text of Debian's kernels has 14 to 20 MiB.
    private const ulong MostText = 256 << 20;

    private readonly KernelImage _image;
    private readonly Func<ulong, ulong?> _readWord;
    private readonly ulong _slide;
    private readonly VirtualAddress _linkStart;

    private KernelCode(KernelImage image, VirtualAddress textBase, Func<ulong, ulong?> readWord, VirtualAddress linkStart, int length)
    {
        _image = image;
        _readWord = readWord;
        _slide = textBase - image.Geometry.LinkBase;
        _linkStart = linkStart;
        Length = length;
        image.MoveTo(textBase);
        Tables = new PatchTables(image, _slide);
        Symbols = new CodeSymbols(image.Symbols, _slide);
    }

    /// <summary>The run-time address of the first byte compared.</summary>
    public VirtualAddress Start => _linkStart + _slide;

    /// <summary>How many bytes are compared.</summary>
    public int Length { get; }

    /// <summary>The image's symbols.</summary>
    public CodeSymbols Symbols { get; }

    /// <summary>The image's tables of what it patches.</summary>
    public PatchTables Tables { get; }

    /// <summary>Prepares a comparison, for which the image is moved.</summary>
    /// <param name="image">The image.</param>
    /// <param name="textBase">The run-time address of the guest's <c>_text</c>.</param>
    /// <param name="readWord">Reads a word of the guest's data, by address; null where it cannot.</param>
    /// <returns>Null when the image has no text that can be compared.</returns>
    public static KernelCode? Of(KernelImage image, VirtualAddress textBase, Func<ulong, ulong?> readWord)
    {
        if (!image.Symbols.TryResolve(["_text", "_etext"], out VirtualAddress?[] bounds) || bounds[1]!.Value <= bounds[0]!.Value)
        {
            return null;
        }

        (VirtualAddress start, ulong length) = (bounds[0]!.Value, bounds[1]!.Value - bounds[0]!.Value);
        return length <= MostText && !image.Bytes(start, (int)length).IsEmpty ? new KernelCode(image, textBase, readWord, start, (int)length) : null;
    }

    /// <summary>Whether the guest runs this very build: its banner, compiler and build time included, is the image's.</summary>
    public static bool IsSameBuild(KernelImage image, GuestKernel kernel)
    {
        const int Compared = 128;
        if (!image.Symbols.TryResolve(["linux_banner"], out VirtualAddress?[] banner))
        {
            return false;
        }

        ReadOnlySpan<byte> expected = image.Bytes(banner[0]!.Value, Compared);
        Span<byte> found = stackalloc byte[Compared];
        return !expected.IsEmpty
            && kernel.TryRead(banner[0]!.Value + (kernel.VirtualBase - image.Geometry.LinkBase), found) && found.SequenceEqual(expected);
    }

    /// <summary>Applies all rules to a guest's text; what still differs is nobody's.</summary>
    /// <param name="found">The guest's bytes from <see cref="Start"/> on, <see cref="Length"/> of them.</param>
    public CodePair Compare(byte[] found)
    {
        var code = new CodePair(Start.Value, _image.Bytes(_linkStart, Length).ToArray(), found);
        var branches = new BranchRules(code, Symbols);
        var switches = new SwitchRules(code, Symbols, branches, _readWord);
        HostPatch(code);
        ModuleNames(code);
        switches.ParavirtCalls(Tables.ParavirtCalls);
        branches.Retpolines(Tables.RetpolineSites);
        branches.Returns(Tables.ReturnSites);
        new AlternativeRules(code, Symbols, switches, ReadImage).Apply(Tables.Alternatives(IsImage));
        switches.Seals(Tables.SealedEntries);
        switches.Locks(Tables.LockPrefixes);
        switches.StaticCalls(Tables.StaticCalls);
        switches.Trampolines(Symbols.Trampolines);
        switches.RuntimeConstants(Tables.RuntimeConstants(Symbols.RuntimeTables));
        switches.JumpLabels(Tables.JumpLabels);
        switches.TraceSites(Tables.TraceSites);
        switches.TraceCalls();
        return code;
    }

    /// <summary>Where the kernel drew its module offset, the host's number may stand (<see cref="ModuleOffsetSite"/>).</summary>
    private void HostPatch(CodePair code)
    {
        const int Size = 5;
        const byte MovEaxImmediate = 0xb8;
        if (_image.ModuleOffset is not { } site)
        {
            return;
        }

        foreach (ElfSegment load in _image.Elf.Loads)
        {
            ulong link = load.PhysicalAddress.Value + ElfImage.StartKernelMap + (ulong)(site.FileOffset - load.FileOffset);
            if (site.FileOffset >= load.FileOffset && site.FileOffset < load.FileEnd && code.TryOffset(unchecked(link + _slide), Size, out int at)
                && code.Found[at] == MovEaxImmediate)
            {
                uint number = BitConverter.ToUInt32(code.Found.Slice(at + 1, sizeof(uint)));
                if (number >> site.Shift < ModuleOffsetSite.Slots && (number >> site.Shift) << site.Shift == number)
                {
                    code.Accept(at, Size);
                }
            }
        }
    }

    /// <summary>Where modules are placed by name, the host's calls lead to the host's code: all of both, or none of it (<see cref="ModuleNamePatch"/>).</summary>
    private void ModuleNames(CodePair code)
    {
        if (_image.Facts.ModuleNames is not { } patch || _image.LinkAddressOf(patch.CodeOffset) is not VirtualAddress place)
        {
            return;
        }

        // The code may lie behind the end of what is compared, in its last page. The salt only says where modules go.
        byte[] placer = Read(unchecked(place.Value + _slide), patch.Code.Length);
        int behindSalt = patch.SaltOffset + sizeof(uint);
        if (placer.Length == 0 || !placer.AsSpan(0, patch.SaltOffset).SequenceEqual(patch.Code.AsSpan(0, patch.SaltOffset))
            || !placer.AsSpan(behindSalt).SequenceEqual(patch.Code.AsSpan(behindSalt)))
        {
            return;
        }

        List<(int At, int Length)> changed = [];
        foreach (ModuleNamePatch.Jump jump in patch.Jumps.Where(jump => !jump.AtBoot))
        {
            if (_image.LinkAddressOf(jump.Offset) is not VirtualAddress site || !code.TryOffset(unchecked(site.Value + _slide), jump.Bytes.Length, out int at)
                || !code.Found.Slice(at, jump.Bytes.Length).SequenceEqual(jump.Bytes))
            {
                return;
            }

            changed.Add((at, jump.Bytes.Length));
        }

        if (code.TryOffset(unchecked(place.Value + _slide), placer.Length, out int inText))
        {
            changed.Add((inText, placer.Length));
        }

        changed.ForEach(change => code.Accept(change.At, change.Length));

        byte[] Read(ulong address, int length)
        {
            if (code.TryOffset(address, length, out int at))
            {
                return code.Found.Slice(at, length).ToArray();
            }

            var bytes = new byte[length];
            for (int i = 0; i < length; i += sizeof(ulong))
            {
                if (_readWord(address + (ulong)i) is not ulong word)
                {
                    return [];
                }

                BitConverter.GetBytes(word).AsSpan(0, Math.Min(sizeof(ulong), length - i)).CopyTo(bytes.AsSpan(i));
            }

            return bytes;
        }
    }

    private byte[] ReadImage(ulong address, int length) => _image.Bytes(new VirtualAddress(unchecked(address - _slide)), length).ToArray();

    private bool IsImage(ulong address) => !_image.Bytes(new VirtualAddress(unchecked(address - _slide)), 1).IsEmpty;
}
