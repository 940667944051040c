using System.Buffers.Binary;

namespace KaslrMt.Kernels.Tests;

public class RealKernelRelocationTests
{
    public static TheoryData<string> Kernels => [.. TestKernels.Names()];

    [Theory]
    [InlineData("6.1-cloud", 70_777, 8_457, 123_692)]
    [InlineData("6.12-cloud", 78_012, 13_099, 146_103)]
    public void The_lists_have_the_lengths_known_for_Debians_kernels(string name, int add32, int subtract32, int add64)
    {
        byte[] payload = RealKernel.ReadUnpacked(name);
        RelocationTable table = RelocationTable.Read(payload, ElfImage.Read(payload));

        Assert.Equal((add32, subtract32, add64), (table.Add32.Length, table.Subtract32.Length, table.Add64.Length));
        Assert.True(table.HasInverse);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void The_inverse_list_is_found_exactly_in_kernels_with_zero_based_per_cpu_data(string name)
    {
        byte[] payload = RealKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(payload);
        RelocationTable table = RelocationTable.Read(payload, elf);

        Assert.Equal(elf.Loads.Any(load => load.VirtualAddress.Value == 0), table.HasInverse);
        Assert.Equal(table.HasInverse, table.Subtract32.Length > 0);
        Assert.Equal(payload.Length - elf.FileEnd, (table.Count + (table.HasInverse ? 3 : 2)) * sizeof(uint));
        Assert.True(table.Add64.Length > 50_000 && table.Add32.Length > 50_000, $"{table.Add64.Length} and {table.Add32.Length}");
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void What_is_relocated_points_into_the_kernel_at_its_link_address(string name)
    {
        byte[] payload = RealKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(payload);
        RelocationTable table = RelocationTable.Read(payload, elf);
        int inside = 0;
        foreach (uint entry in table.Add64)
        {
            Assert.True(elf.TryGetFileOffset(RelocationTable.LinkAddress(entry), sizeof(ulong), out int offset));
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(payload.AsSpan(offset));
            inside += value - ElfImage.StartKernelMap <= elf.PhysicalEnd.Value ? 1 : 0;
        }

        // Others hold physical addresses (early page tables) or a zero that a build tool left in a table (some 600 in .init.data).
        Assert.True(inside > table.Add64.Length * 0.99, $"{inside} of {table.Add64.Length}");
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void An_image_without_section_headers_has_the_same_table(string name)
    {
        byte[] payload = RealKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(payload);
        RelocationTable expected = RelocationTable.Read(payload, elf);
        int end = elf.Segments.Max(segment => segment.FileEnd);
        byte[] stripped = [.. payload.AsSpan(0, end), .. payload.AsSpan(elf.FileEnd)];
        stripped.AsSpan(40, 8).Clear();
        stripped.AsSpan(58, 6).Clear();

        ElfImage strippedElf = ElfImage.Read(stripped);
        RelocationTable table = RelocationTable.Read(stripped, strippedElf);

        Assert.Empty(strippedElf.Sections);
        Assert.Equal(expected.Add32, table.Add32);
        Assert.Equal(expected.Subtract32, table.Subtract32);
        Assert.Equal(expected.Add64, table.Add64);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Applying_changes_what_the_kernels_own_loop_changes_and_nothing_else(string name)
    {
        const ulong Slide = 0x1d200000;
        byte[] payload = RealKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(payload);
        RelocationTable table = RelocationTable.Read(payload, elf);
        byte[] expected = (byte[])payload.Clone();
        RelocateAsTheKernelDoes(expected, elf, table.HasInverse, Slide);
        byte[] actual = (byte[])payload.Clone();

        table.Apply(actual, Slide);

        int same = expected.AsSpan().CommonPrefixLength(actual);
        Assert.True(same == payload.Length, $"first difference at offset 0x{same:x}");
        table.Apply(actual, unchecked(0UL - Slide));
        Assert.True(payload.AsSpan().SequenceEqual(actual));
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Memory_laid_out_flat_gets_the_same_bytes_as_the_file(string name)
    {
        const ulong Slide = 0x200000;
        byte[] payload = RealKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(payload);
        RelocationTable table = RelocationTable.Read(payload, elf);
        byte[] flat = new byte[elf.Span];
        foreach (ElfSegment load in elf.Loads)
        {
            payload.AsSpan(load.FileOffset, load.FileSize).CopyTo(flat.AsSpan((int)(load.PhysicalAddress - elf.PhysicalStart)));
        }

        table.ApplyFlat(flat, elf.PhysicalStart, Slide);
        table.Apply(payload, Slide);

        foreach (ElfSegment load in elf.Loads)
        {
            int at = (int)(load.PhysicalAddress - elf.PhysicalStart);
            Assert.True(payload.AsSpan(load.FileOffset, load.FileSize).SequenceEqual(flat.AsSpan(at, load.FileSize)));
        }
    }

    /// <summary>The slow and plain way, straight from the bytes: backwards from the end, each list to its zero.</summary>
    private static void RelocateAsTheKernelDoes(byte[] payload, ElfImage elf, bool hasInverse, ulong slide)
    {
        int at = payload.Length;
        foreach (int list in hasInverse ? new[] { 32, -32, 64 } : [32, 64])
        {
            while (true)
            {
                at -= sizeof(int);
                int entry = BinaryPrimitives.ReadInt32LittleEndian(payload.AsSpan(at));
                if (entry == 0)
                {
                    break;
                }

                ulong physical = unchecked((ulong)entry - ElfImage.StartKernelMap);
                ElfSegment segment = elf.Segments.First(
                    s => s.Type == ElfSegmentType.Load && physical - s.PhysicalAddress.Value < (ulong)s.FileSize);
                Span<byte> place = payload.AsSpan(segment.FileOffset + (int)(physical - segment.PhysicalAddress.Value));
                if (list == 64)
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(place, BinaryPrimitives.ReadUInt64LittleEndian(place) + slide);
                }
                else
                {
                    uint addend = (uint)(list == 32 ? slide : 0UL - slide);
                    BinaryPrimitives.WriteUInt32LittleEndian(place, BinaryPrimitives.ReadUInt32LittleEndian(place) + addend);
                }
            }
        }

        Assert.Equal(elf.FileEnd, at);
    }
}
