using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>A guest kernel's text against its image, after all that the kernel itself changes in it.</summary>
internal sealed class KernelCode
{

    // Text of Debian's kernels has 14 to 20 MiB.
    private const ulong MostText = 256 << 20;

    private readonly KernelImage _image;
    private readonly GuestKernel _kernel;
    private readonly ulong _slide;
    private readonly VirtualAddress _linkStart;
    private readonly int _length;
    private readonly PatchTables _tables;

    private KernelCode(KernelImage image, GuestKernel kernel, VirtualAddress linkStart, int length)
    {
        _image = image;
        _kernel = kernel;
        _slide = kernel.VirtualBase - image.Geometry.LinkBase;
        _linkStart = linkStart;
        _length = length;
        image.MoveTo(kernel.VirtualBase);
        _tables = new PatchTables(image, _slide);
        Symbols = new CodeSymbols(image.Symbols, _slide);
    }

    /// <summary>The image's symbols.</summary>
    public CodeSymbols Symbols { get; }

    /// <summary>The image's tables of what it patches.</summary>
    public PatchTables Tables => _tables;

    /// <summary>Prepares a comparison.</summary>
    /// <returns>Null when the image has no text that can be compared.</returns>
    public static KernelCode? Of(KernelImage image, GuestKernel kernel) =>
        image.Symbols.TryResolve(["_text", "_etext"], out VirtualAddress?[] bounds) && bounds[1]!.Value > bounds[0]!.Value
            && bounds[1]!.Value - bounds[0]!.Value <= MostText && !image.Bytes(bounds[0]!.Value, (int)(bounds[1]!.Value - bounds[0]!.Value)).IsEmpty
            ? new KernelCode(image, kernel, bounds[0]!.Value, (int)(bounds[1]!.Value - bounds[0]!.Value))
            : null;

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

    /// <summary>Reads the guest's text and applies all rules; what still differs is nobody's.</summary>
    /// <returns>Null when the text is not all mapped.</returns>
    public CodePair? Compare()
    {
        var found = GC.AllocateUninitializedArray<byte>(_length);
        if (!_kernel.TryRead(_linkStart + _slide, found))
        {
            return null;
        }

        var code = new CodePair((_linkStart + _slide).Value, _image.Bytes(_linkStart, _length).ToArray(), found);
        var branches = new BranchRules(code, Symbols);
        var switches = new SwitchRules(code, Symbols, branches, ReadWord);
        HostPatch(code);
        switches.ParavirtCalls(_tables.ParavirtCalls);
        branches.Retpolines(_tables.RetpolineSites);
        branches.Returns(_tables.ReturnSites);
        new AlternativeRules(code, Symbols, switches, ReadImage).Apply(_tables.Alternatives(IsImage));
        switches.Seals(_tables.SealedEntries);
        switches.Locks(_tables.LockPrefixes);
        switches.StaticCalls(_tables.StaticCalls);
        switches.Trampolines(Symbols.Trampolines);
        switches.RuntimeConstants(_tables.RuntimeConstants(Symbols.RuntimeTables));
        switches.JumpLabels(_tables.JumpLabels);
        switches.TraceSites(_tables.TraceSites);
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

    private ulong? ReadWord(ulong address) => _kernel.TryReadWord(new VirtualAddress(address), out ulong word) ? word : null;

    private byte[] ReadImage(ulong address, int length) => _image.Bytes(new VirtualAddress(unchecked(address - _slide)), length).ToArray();

    private bool IsImage(ulong address) => !_image.Bytes(new VirtualAddress(unchecked(address - _slide)), 1).IsEmpty;
}
