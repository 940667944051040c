using System.Collections.Immutable;

namespace KaslrMt.Kernels;

/// <summary>Checks the facts of a prepared kernel that somebody else made, so that no number in them leads out of the kernel's segments.</summary>
internal static class PreparedFactsCheck
{
    private const int CallSize = 5;
    private const int MostSegments = 64;
    private const int LongestText = 512;
    private const int LongestCode = 4096;
    private const int MostJumps = 64;
    private const int MostVariables = 16;

    // struct boot_params: the setup header lies between 0x1f1 and 0x290.
    private const int LongestSetupHeader = 0x290 - 0x1f1;
    private const int ShortestSetupHeader = 0x258 - 0x1f1;

    /// <summary>Checks them all.</summary>
    /// <exception cref="KaslrMtException">KMT2801, KMT1201, KMT1202.</exception>
    internal static void Check(KernelFacts kernel)
    {
        CheckTexts(kernel);
        CheckSegments(kernel);
        _ = kernel.Geometry;
        ImmutableArray<long> offsets = BootImageFile.SegmentOffsets(kernel.Segments.Select(segment => segment.FileSize));
        CheckPatch(kernel, offsets);
        if (kernel.ModuleNames is { } names)
        {
            CheckModuleNames(kernel, offsets, names);
        }
    }

    private static void CheckTexts(KernelFacts kernel)
    {
        Require(kernel.Release is { Length: <= LongestText } release && !release.AsSpan().ContainsAnyExceptInRange(' ', '~'), "its release is no printable text");
        Require(
            kernel.ModuleNamesProblem is not { } problem || (problem.Length <= LongestText && !problem.AsSpan().ContainsAnyExceptInRange(' ', '~')),
            "its problem with module names is no printable text");
        Require(
            kernel.SetupHeader is { } header && (header.Length == 0 || header.Length is >= ShortestSetupHeader and <= LongestSetupHeader),
            $"its setup header has no bytes, or not 0 or {ShortestSetupHeader} to {LongestSetupHeader}");
        Require(kernel.Variables is { Count: <= MostVariables }, $"it has no variables, or more than {MostVariables}");
        foreach ((string name, ImmutableArray<ulong> addresses) in kernel.Variables)
        {
            Require(KernelImage.ObservedVariables.Contains(name), "it has a variable that nobody asks for");
            Require(addresses is { IsDefault: false, Length: > 0 and <= MostVariables }, "it has a variable without addresses, or with too many");
        }
    }

    private static void CheckSegments(KernelFacts kernel)
    {
        Require(!kernel.Segments.IsDefault && kernel.Segments.Length is > 0 and <= MostSegments, $"it has no segments, or more than {MostSegments}");
        ulong end = 0;
        foreach (KernelFacts.Segment segment in kernel.Segments)
        {
            Require(segment.PhysicalAddress >= end, "its segments overlap, or are not ordered");
            Require(segment.PhysicalAddress <= ElfImage.MaximumSpan && segment.MemorySize is > 0 and <= ElfImage.MaximumSpan, "a segment is empty, or beyond 1 GiB");
            Require(segment.FileSize >= 0 && (ulong)segment.FileSize <= segment.MemorySize, "a segment has more bytes than memory");
            end = segment.PhysicalAddress + segment.MemorySize;
        }

        KernelFacts.Segment text = kernel.Segments[0];
        Require(end - text.PhysicalAddress <= kernel.ImageSize, "its segments take more memory than it says");
        Require(text.PhysicalAddress == kernel.LinkPhysical, "its first segment is not where it is linked");
        Require(kernel.LinkBase == unchecked(kernel.LinkPhysical + ElfImage.StartKernelMap), "its virtual and physical link addresses do not agree");
        Require(
            kernel.Segments.Any(segment => kernel.Entry >= segment.PhysicalAddress && kernel.Entry - segment.PhysicalAddress < (ulong)segment.FileSize),
            "its entry lies in no segment");
    }

    private static void CheckPatch(KernelFacts kernel, ImmutableArray<long> offsets)
    {
        KernelFacts.PatchSites patch = kernel.Patch ?? throw PreparedKernelFormat.Fault("it has no patch sites");
        RequireInside(kernel, offsets, patch.RandomizeMemoryCall, CallSize);
        RequireInside(kernel, offsets, patch.Physmap, sizeof(ulong));
        RequireInside(kernel, offsets, patch.Vmalloc, sizeof(ulong));
        RequireInside(kernel, offsets, patch.Vmemmap, sizeof(ulong));
        if (patch.DirectMapEnd is long end)
        {
            RequireInside(kernel, offsets, end, sizeof(ulong));
        }

        if (patch.ModuleOffset is long draw)
        {
            RequireInside(kernel, offsets, draw, CallSize);
        }

        Require(patch.ModuleOffsetShift is >= 0 and <= 22, "its module offset is shifted by a number that no kernel has");
    }

    private static void CheckModuleNames(KernelFacts kernel, ImmutableArray<long> offsets, ModuleNamePatch names)
    {
        Require(names.Code is { Length: > sizeof(uint) and <= LongestCode }, "its code for module names is missing or too long");
        Require(names.SaltOffset >= 0 && names.SaltOffset <= names.Code.Length - sizeof(uint), "the salt lies outside the code for module names");
        Require(!names.Jumps.IsDefault && names.Jumps.Length <= MostJumps, "it has no jumps to the code for module names, or too many");
        RequireInside(kernel, offsets, names.CodeOffset, names.Code.Length);
        foreach (ModuleNamePatch.Jump jump in names.Jumps)
        {
            Require(jump is { Bytes.Length: CallSize }, "a jump to the code for module names is no jump");
            RequireInside(kernel, offsets, jump.Offset, CallSize);
        }
    }

    private static void RequireInside(KernelFacts kernel, ImmutableArray<long> offsets, long offset, int width)
    {
        for (int i = 0; i < kernel.Segments.Length; i++)
        {
            if (offset >= offsets[i] && offset - offsets[i] <= (long)kernel.Segments[i].FileSize - width)
            {
                return;
            }
        }

        throw PreparedKernelFormat.Fault($"it names {width} bytes at offset {offset} of the image, which lie in no segment");
    }

    private static void Require(bool holds, string problem)
    {
        if (!holds)
        {
            throw PreparedKernelFormat.Fault(problem);
        }
    }
}
