using System.Buffers.Binary;

namespace KaslrMt.Kernels.Tests;

public class RelocationTableTests
{
    private const uint Text = unchecked((uint)KernelElfBuilder.TextAddress);
    private const uint Data = unchecked((uint)KernelElfBuilder.DataAddress);
    private const uint PerCpu = unchecked((uint)KernelElfBuilder.PerCpuLoadAddress);

    [Fact]
    public void Two_lists_are_64_bit_and_32_bit()
    {
        RelocationTable table = Read(0, Text, Text + 8, 0, Data, Data + 4, Data + 8);

        Assert.Equal([Text, Text + 8], table.Add64);
        Assert.Equal([Data, Data + 4, Data + 8], table.Add32);
        Assert.False(table.HasInverse);
        Assert.Equal(5, table.Count);
    }

    [Fact]
    public void Three_lists_are_64_bit_inverse_and_32_bit()
    {
        RelocationTable table = Read(0, Text, Text + 8, 0, PerCpu, 0, Data, Data + 4, Data + 8);

        Assert.Equal([Text, Text + 8], table.Add64);
        Assert.Equal([PerCpu], table.Subtract32);
        Assert.Equal([Data, Data + 4, Data + 8], table.Add32);
        Assert.True(table.HasInverse);
    }

    [Fact]
    public void A_kernel_for_one_processor_has_an_empty_inverse_list()
    {
        RelocationTable table = Read(0, Text, 0, 0, Data);

        Assert.True(table.HasInverse);
        Assert.Empty(table.Subtract32.ToArray());
        Assert.Equal([Text], table.Add64);
        Assert.Equal([Data], table.Add32);
    }

    [Theory]
    [InlineData(2300)]
    [InlineData(2302, 0u)]
    [InlineData(2302, 1u)]
    [InlineData(2302, Text, Data)]
    [InlineData(2302, Text, 0u, Data)]
    [InlineData(2302, Text, 0u, Text, 0u, Data)]
    [InlineData(2303, 0u, 0u)]
    [InlineData(2303, 0u, 0u, Data)]
    [InlineData(2303, 0u, 0u, Text, 0u, Data)]
    [InlineData(2303, 0u, 0u, 0u, Text, 0u, Data)]
    [InlineData(2303, 0u, Text, 0u, Text, 0u, Data, 0u, Data)]
    [InlineData(2304, 0u, Text, 0u, 0x00000001u)]
    [InlineData(2304, 0u, Text, 0u, 0x7fffffffu)]
    [InlineData(2304, 0u, Text, 0u, 0x80000001u)]
    [InlineData(2304, 0u, Text, 0u, 0xffffffffu)]
    [InlineData(2304, 0u, Text, 0u, Text - 1)]
    [InlineData(2304, 0u, Text, 0u, Text + 0xffd)]
    [InlineData(2304, 0u, Text + 0xff9, 0u, Data)]
    [InlineData(2304, 0u, Text, 0u, Text + 0x1000)]
    [InlineData(2304, 0u, Text, 0u, Data + 0x1000)]
    [InlineData(2304, 0u, Text, 0u, PerCpu + 0xffd, 0u, Data)]
    [InlineData(2304, 0u, Text, 0u, PerCpu + 0x1000)]
    public void What_is_no_table_of_a_kernel_has_its_number(int number, params uint[] words) =>
        Assert.Equal(number, Assert.Throws<KaslrMtException>(() => Read(words)).Code.Number);

    [Fact]
    public void The_last_bytes_of_a_segment_may_be_relocated()
    {
        RelocationTable table = Read(0, Text + 0xff8, PerCpu + 0xff8, 0, Text + 0xffc, PerCpu + 0xffc);

        Assert.Equal(4, table.Count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_table_that_is_not_whole_entries_is_refused(int more)
    {
        byte[] payload = [.. new KernelElfBuilder().Build(0, Text, 0, Data), .. new byte[more]];

        Assert.Equal(2301, Assert.Throws<KaslrMtException>(() => RelocationTable.Read(payload, ElfImage.Read(payload))).Code.Number);
    }

    [Fact]
    public void A_message_says_which_entry_of_which_list_is_outside()
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => Read(0, Text, 0, 0x82345678));

        Assert.Contains("the 32-bit relocation list names 4 bytes at 0xffffffff82345678", error.Message, StringComparison.Ordinal);
        Assert.Contains("between 0xffffffff81000000 and 0xffffffff81401000", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_list_changes_its_own_width_and_sign_and_no_other_byte()
    {
        byte[] payload = new KernelElfBuilder().Build(0, Text + 1, 0, Text + 0x103, 0, PerCpu + 0x11);
        payload.AsSpan(0x1000, 0x3000).Fill(0xee);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(0x1001), 0xffffffff81234567);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(0x1103), 0x7f000010);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(0x3011), 0x81234567);
        byte[] expected = (byte[])payload.Clone();
        BinaryPrimitives.WriteUInt64LittleEndian(expected.AsSpan(0x1001), 0xffffffff9e434567);
        BinaryPrimitives.WriteUInt32LittleEndian(expected.AsSpan(0x1103), 0x61e00010);
        BinaryPrimitives.WriteUInt32LittleEndian(expected.AsSpan(0x3011), 0x9e434567);

        RelocationTable.Read(payload, ElfImage.Read(payload)).Apply(payload, 0x1d200000);

        Assert.Equal(expected, payload);
    }

    [Fact]
    public void Sums_wrap_at_their_own_width_as_in_the_kernel()
    {
        byte[] payload = new KernelElfBuilder().Build(0, Text, 0, Text + 8, 0, Text + 12);
        payload.AsSpan(0x1000, 8).Fill(0xff);
        payload.AsSpan(0x1008, 4).Clear();
        payload.AsSpan(0x100c, 4).Fill(0xff);
        payload.AsSpan(0x1010, 4).Fill(0x55);

        RelocationTable.Read(payload, ElfImage.Read(payload)).Apply(payload, 0x200000);

        Assert.Equal(0x1fffffUL, BinaryPrimitives.ReadUInt64LittleEndian(payload.AsSpan(0x1000)));
        Assert.Equal(0xffe00000, BinaryPrimitives.ReadUInt32LittleEndian(payload.AsSpan(0x1008)));
        Assert.Equal(0x1fffffu, BinaryPrimitives.ReadUInt32LittleEndian(payload.AsSpan(0x100c)));
        Assert.Equal(0x55555555u, BinaryPrimitives.ReadUInt32LittleEndian(payload.AsSpan(0x1010)));
    }

    [Fact]
    public void A_place_named_twice_moves_twice_and_order_does_not_matter()
    {
        byte[] sorted = new KernelElfBuilder().Build(0, Text, 0, Data, Data + 8, Data + 8, PerCpu);
        byte[] unsorted = new KernelElfBuilder().Build(0, Text, 0, PerCpu, Data + 8, Data, Data + 8);

        RelocationTable.Read(sorted, ElfImage.Read(sorted)).Apply(sorted, 0x400000);
        RelocationTable.Read(unsorted, ElfImage.Read(unsorted)).Apply(unsorted, 0x400000);

        Assert.Equal(0x800000u, BinaryPrimitives.ReadUInt32LittleEndian(sorted.AsSpan(0x2008)));
        Assert.Equal(sorted.AsSpan(0x1000, 0x3000), unsorted.AsSpan(0x1000, 0x3000));
    }

    [Fact]
    public void A_buffer_without_room_for_a_segment_is_refused_untouched()
    {
        byte[] payload = new KernelElfBuilder().Build(0, Text, 0, PerCpu);
        ElfImage elf = ElfImage.Read(payload);
        RelocationTable table = RelocationTable.Read(payload, elf);
        byte[] before = (byte[])payload.Clone();
        byte[] flat = new byte[elf.Span - 1];

        Assert.Throws<ArgumentException>(() => table.Apply(payload.AsSpan(0, 0x3fff), 0x200000));
        Assert.Throws<ArgumentException>(() => table.ApplyFlat(flat, elf.PhysicalStart, 0x200000));
        Assert.Throws<ArgumentException>(() => table.ApplyFlat(new byte[elf.Span], elf.PhysicalStart + 1, 0x200000));
        Assert.Equal(before, payload);
        Assert.Equal(new byte[flat.Length], flat);
    }

    [Fact]
    public void The_table_is_written_as_it_was_read()
    {
        foreach (uint[] words in (uint[][])[[0, Text, 0, Data, PerCpu], [0, Text, 0, PerCpu, 0, Data], [0, Text, 0, 0, Data]])
        {
            byte[] payload = new KernelElfBuilder().Build(words);
            ElfImage elf = ElfImage.Read(payload);

            Assert.Equal(payload.AsSpan(elf.FileEnd).ToArray(), RelocationTable.Read(payload, elf).ToBytes());
        }
    }

    private static RelocationTable Read(params uint[] words)
    {
        byte[] payload = new KernelElfBuilder().Build(words);
        return RelocationTable.Read(payload, ElfImage.Read(payload));
    }
}
