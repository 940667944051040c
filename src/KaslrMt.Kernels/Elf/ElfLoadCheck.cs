namespace KaslrMt.Kernels;

/// <summary>Checks what only all loadable segments together can break: overlap, span, link addresses, the entry.</summary>
internal static class ElfLoadCheck
{
    private const int EntryField = 24;
    private const string Remedy = "the kernel image is damaged or not an x86-64 Linux kernel, take it from its package again";

    internal static void Check(ElfImage image)
    {
        if (image.Loads.IsEmpty)
        {
            throw new KaslrMtException(
                KernelErrors.NoLoadSegment,
                $"kernel ELF: none of its {image.Segments.Length} segments is loadable (PT_LOAD with memory)",
                Remedy);
        }

        CheckMapping(image);
        CheckOverlap(image);
        foreach (ElfSegment load in image.Loads)
        {
            if (image.Entry - load.PhysicalAddress < load.MemorySize)
            {
                return;
            }
        }

        throw ElfReader.Damaged(
            KernelErrors.ElfEntryOutside,
            "e_entry",
            EntryField,
            $"a physical address in a loadable segment, {image.PhysicalStart} to {image.PhysicalEnd}",
            image.Entry.Value);
    }

    private static void CheckMapping(ElfImage image)
    {
        foreach (ElfSegment load in image.Loads)
        {
            // The kernel maps itself at physical + __START_KERNEL_map; only zero-based per-CPU data is linked elsewhere.
            if (load.PhysicalEnd.Value > ElfImage.MaximumSpan)
            {
                throw new KaslrMtException(
                    KernelErrors.ImageTooLarge,
                    $"kernel ELF: the segment at physical address {load.PhysicalAddress} ends at {load.PhysicalEnd}, "
                    + $"expected at most 0x{ElfImage.MaximumSpan:x} (1 GiB, the kernel's own mapping)",
                    Remedy);
            }

            ulong linked = load.PhysicalAddress.Value + ElfImage.StartKernelMap;
            if (load.VirtualAddress.Value != 0 && load.VirtualAddress.Value != linked)
            {
                throw new KaslrMtException(
                    KernelErrors.SegmentLinkAddress,
                    $"kernel ELF: the segment at physical address {load.PhysicalAddress} is linked at {load.VirtualAddress}, "
                    + $"expected 0x{linked:x16} (or 0 for per-CPU data)",
                    Remedy);
            }
        }
    }

    private static void CheckOverlap(ElfImage image)
    {
        for (int index = 1; index < image.Loads.Length; index++)
        {
            ElfSegment before = image.Loads[index - 1];
            ElfSegment after = image.Loads[index];
            if (before.PhysicalEnd > after.PhysicalAddress)
            {
                throw new KaslrMtException(
                    KernelErrors.SegmentOverlap,
                    $"kernel ELF: the segment at physical address {after.PhysicalAddress} "
                    + $"overlaps the one that ends at {before.PhysicalEnd}",
                    Remedy);
            }
        }

        // A byte of the file that two segments share would be relocated in both: the file could not be patched in place.
        ElfSegment[] byOffset = [.. image.Loads.Where(load => load.FileSize > 0).OrderBy(load => load.FileOffset)];
        for (int index = 1; index < byOffset.Length; index++)
        {
            if (byOffset[index - 1].FileEnd > byOffset[index].FileOffset)
            {
                throw new KaslrMtException(
                    KernelErrors.SegmentOverlap,
                    $"kernel ELF: two segments share bytes of the file: one begins at offset 0x{byOffset[index].FileOffset:x}, "
                    + $"the one before ends at 0x{byOffset[index - 1].FileEnd:x}",
                    Remedy);
            }
        }
    }
}
