using System.Buffers.Binary;
using static KaslrMt.Kernels.Tests.KernelElfBuilder;

namespace KaslrMt.Kernels.Tests;

public class RelaSectionTests
{
    private const uint None = 0;
    private const uint Absolute64 = 1;
    private const uint Relative32 = 2;
    private const uint Procedure32 = 4;
    private const uint OffsetTable = 9;
    private const uint Absolute32 = 10;
    private const uint AbsoluteSigned32 = 11;
    private const uint Relative64 = 24;
    private const uint OffsetTableRelaxed = 41;
    private const uint OffsetTableRelaxedRex = 42;
    private const ulong Place = TextAddress + 0x123;
    private const ulong Slot = DataAddress + 0x80;

    [Theory]
    [InlineData(None, "")]
    [InlineData(Absolute64, "64")]
    [InlineData(Absolute32, "32")]
    [InlineData(AbsoluteSigned32, "32")]
    [InlineData(Relative32, "")]
    [InlineData(Procedure32, "")]
    [InlineData(Relative64, "")]
    public void Addresses_in_the_kernel_move_and_distances_do_not(uint type, string list)
    {
        Assert.Equal(list, ListOf(type, builder => builder.AddSymbol("a_function", Text, TextAddress + 0x40), zeroBased: true));
        Assert.Equal(list, ListOf(type, builder => builder.AddSymbol("a_function", Text, TextAddress + 0x40), zeroBased: false));
        Assert.Equal(list, ListOf(type, builder => builder.AddSymbol("", Data, DataAddress), zeroBased: true));
    }

    [Theory]
    [InlineData(None, "")]
    [InlineData(Absolute64, "")]
    [InlineData(Absolute32, "")]
    [InlineData(AbsoluteSigned32, "")]
    [InlineData(Relative32, "inverse")]
    [InlineData(Procedure32, "inverse")]
    public void Distances_to_zero_based_per_cpu_data_shrink_and_its_offsets_stay(uint type, string list)
    {
        Assert.Equal(list, ListOf(type, builder => builder.AddSymbol("cpu_number", PerCpu, 0x40), zeroBased: true));
        Assert.Equal(list, ListOf(type, builder => builder.AddSymbol("", PerCpu, 0), zeroBased: true));
    }

    [Theory]
    [InlineData(Absolute64, "64")]
    [InlineData(AbsoluteSigned32, "32")]
    [InlineData(Relative32, "")]
    [InlineData(Relative64, "")]
    public void Per_cpu_data_at_kernel_addresses_is_like_any_data(uint type, string list) =>
        Assert.Equal(list, ListOf(type, builder => builder.AddSymbol("cpu_number", PerCpu, PerCpuLoadAddress + 0x40), zeroBased: false));

    [Theory]
    [InlineData("__per_cpu_load")]
    [InlineData("__init_begin")]
    [InlineData("init_per_cpu__gdt_page")]
    public void Addresses_that_the_linker_attached_to_the_per_cpu_section_move(string name)
    {
        Assert.Equal("64", ListOf(Absolute64, builder => builder.AddSymbol(name, PerCpu, PerCpuLoadAddress), zeroBased: true));
        Assert.Equal("", ListOf(Relative32, builder => builder.AddSymbol(name, PerCpu, PerCpuLoadAddress), zeroBased: true));
    }

    [Theory]
    [InlineData(Absolute64)]
    [InlineData(Relative32)]
    [InlineData(255u)]
    public void What_refers_to_an_undefined_symbol_stays(uint type) =>
        Assert.Equal("", ListOf(type, builder => builder.AddSymbol("weak_and_missing", 0, 0), zeroBased: true));

    [Theory]
    [InlineData("__crc_printk")]
    [InlineData("__kcfi_typeid_main")]
    [InlineData("VDSO64_x")]
    [InlineData("xen_save_fl_direct_reloc")]
    public void Absolute_symbols_known_as_constants_stay(string name) =>
        Assert.Equal("", ListOf(Absolute64, builder => builder.AddSymbol(name, Absolute, 0x1234), zeroBased: true));

    [Theory]
    [InlineData("_end")]
    [InlineData("jiffies")]
    [InlineData("jiffies_64")]
    [InlineData("__init_begin")]
    [InlineData("__end_rodata_hpage_align")]
    [InlineData("__alt_instructions_end")]
    [InlineData("__parainstructions")]
    [InlineData("__start___ksymtab_gpl")]
    [InlineData("__stop___bug_table")]
    [InlineData("__start_pci_fixups_early")]
    [InlineData("__end_pci_fixups_final")]
    [InlineData("init_per_cpu__fixed_percpu_data")]
    public void Absolute_symbols_known_as_addresses_move(string name) =>
        Assert.Equal("64", ListOf(Absolute64, builder => builder.AddSymbol(name, Absolute, DataAddress), zeroBased: true));

    [Theory]
    [InlineData("some_symbol")]
    [InlineData("_ending")]
    [InlineData("my__crc_x")]
    [InlineData("__start___")]
    [InlineData("xen_save_fl_direct_reloc_2")]
    public void An_absolute_symbol_that_nobody_audited_is_refused_by_name(string name)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(
            () => ListOf(Absolute64, builder => builder.AddSymbol(name, Absolute, 5), zeroBased: true));

        Assert.Equal(KernelErrors.RelaAbsolute, error.Code);
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
        Assert.Equal("", ListOf(Relative32, builder => builder.AddSymbol(name, Absolute, 5), zeroBased: true));
    }

    [Theory]
    [InlineData(OffsetTable)]
    [InlineData(OffsetTableRelaxed)]
    [InlineData(OffsetTableRelaxedRex)]
    public void The_global_offset_tables_slot_moves_once_however_many_refer_to_it(uint type)
    {
        var builder = new KernelElfBuilder();
        uint symbol = builder.AddSymbol("a_function", Text, TextAddress + 0x40);
        foreach (ulong place in (ulong[])[Place, Place + 0x100])
        {
            WriteWord(builder, place, (uint)(Slot - place - 4));
            builder.AddRelocation(Text, type, place, symbol, -4);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(builder.Contents[(DataOffset + 0x80)..], TextAddress + 0x40);
        RelocationTable table = Table(builder);

        Assert.Equal([unchecked((uint)Slot)], table.Add64);
        Assert.Equal(1, table.Count);
    }

    [Fact]
    public void A_reference_that_the_linker_took_off_the_global_offset_table_goes_by_what_its_bytes_hold()
    {
        const ulong Target = DataAddress + 0x40;
        Assert.Equal("", Relaxed(Target, Data, unchecked((uint)(Target - 4 - Place))));
        Assert.Equal("32", Relaxed(Target, Data, unchecked((uint)Target)));
        Assert.Equal("inverse", Relaxed(0x40, PerCpu, unchecked((uint)(0x40 - 4 - Place))));
        Assert.Equal("", Relaxed(0x40, PerCpu, 0x40));
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => Relaxed(Target, Data, 0x12345678));
        Assert.Equal(KernelErrors.RelaBytes, error.Code);

        static string Relaxed(ulong target, int section, uint word)
        {
            var builder = new KernelElfBuilder();
            WriteWord(builder, Place, word);
            builder.AddRelocation(Text, OffsetTableRelaxedRex, Place, builder.AddSymbol("target", section, target), -4);
            return ListOf(Table(builder), unchecked((uint)Place));
        }
    }

    [Fact]
    public void Places_in_zero_based_per_cpu_data_are_named_by_where_they_are_loaded()
    {
        var builder = new KernelElfBuilder();
        uint function = builder.AddSymbol("a_function", Text, TextAddress);
        builder.AddRelocation(PerCpu, Absolute64, 0x18, function);
        Assert.Equal([unchecked((uint)PerCpuLoadAddress) + 0x18], Table(builder).Add64);

        builder = new KernelElfBuilder(zeroBasedPerCpu: false);
        function = builder.AddSymbol("a_function", Text, TextAddress);
        builder.AddRelocation(PerCpu, Absolute64, PerCpuLoadAddress + 0x18, function);
        Assert.Equal([unchecked((uint)PerCpuLoadAddress) + 0x18], Table(builder).Add64);
    }

    [Fact]
    public void Notes_and_debug_information_keep_their_values()
    {
        var builder = new KernelElfBuilder();
        uint function = builder.AddSymbol("a_function", Text, TextAddress);
        builder.AddRelocation(Note, Absolute64, TextAddress + 0xf00, function);
        builder.AddRelocation(Debug, Absolute64, 0x10, function);
        builder.AddRelocation(Data, Absolute64, DataAddress, function);

        Assert.Equal([unchecked((uint)DataAddress)], Table(builder).Add64);
    }

    [Fact]
    public void Lists_come_sorted_and_keep_what_is_there_twice()
    {
        var builder = new KernelElfBuilder();
        uint function = builder.AddSymbol("a_function", Text, TextAddress);
        foreach (ulong place in (ulong[])[DataAddress + 8, DataAddress, DataAddress + 8])
        {
            builder.AddRelocation(Data, Absolute64, place, function);
        }

        builder.AddRelocation(Text, Absolute64, Place, function);
        uint data = unchecked((uint)DataAddress);

        Assert.Equal([unchecked((uint)Place), data, data + 8, data + 8], Table(builder).Add64);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_table_read_back_from_behind_the_ELF_is_the_same(bool zeroBased)
    {
        var builder = new KernelElfBuilder(zeroBased);
        uint function = builder.AddSymbol("a_function", Text, TextAddress);
        uint perCpu = builder.AddSymbol("cpu_number", PerCpu, builder.PerCpuAddress + 8);
        builder.AddRelocation(Text, Absolute64, Place, function);
        builder.AddRelocation(Text, AbsoluteSigned32, Place + 0x20, function);
        builder.AddRelocation(Text, Relative32, Place + 0x40, perCpu);
        RelocationTable made = Table(builder);
        byte[] payload = [.. builder.Build(), .. made.ToBytes()];
        RelocationTable read = RelocationTable.Read(payload, ElfImage.Read(payload));

        Assert.Equal(zeroBased, read.HasInverse);
        Assert.Equal(zeroBased ? 1 : 0, read.Subtract32.Length);
        Assert.Equal(made.ToBytes(), read.ToBytes());
    }

    [Fact]
    public void A_kernel_without_relocation_sections_is_refused_and_told_so()
    {
        var builder = new KernelElfBuilder();
        uint function = builder.AddSymbol("a_function", Text, TextAddress);
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => Table(builder));
        Assert.Equal(KernelErrors.NoRelaSections, error.Code);
        Assert.Contains("--emit-relocs", error.Remedy, StringComparison.Ordinal);

        builder.AddRelocation(Debug, Absolute64, 0x10, function);
        Assert.Equal(KernelErrors.NoRelaSections, Assert.Throws<KaslrMtException>(() => Table(builder)).Code);
    }

    [Fact]
    public void A_stripped_kernel_with_leftover_relocation_sections_is_not_taken_for_one_that_needs_no_relocation()
    {
        // 6.12's vmlinux keeps .relaruntime_* sections of distances alone once --strip-unneeded has removed .rela.text.
        var builder = new KernelElfBuilder();
        uint function = builder.AddSymbol("a_function", Text, TextAddress);
        builder.AddRelocation(Text, Relative32, 0x10, function);
        byte[] file = builder.Build();
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => KernelInspection.ReadRelocations(file, ElfImage.Read(file)));
        Assert.Equal(KernelErrors.NoRelaSections, error.Code);
    }

    [Fact]
    public void What_no_kernel_has_is_refused_with_its_number()
    {
        Assert.Equal(2309, Failure(Relative64, PerCpu, 0x40, Place));
        Assert.Equal(2309, Failure(3, Text, TextAddress, Place));
        Assert.Equal(2309, Failure(0xffffffff, Text, TextAddress, Place));
        Assert.Equal(2308, Failure(Absolute64, 0xff01, TextAddress, Place));
        Assert.Equal(2308, Failure(Absolute64, 0x50, TextAddress, Place));
        Assert.Equal(2304, Failure(Absolute64, Text, TextAddress, 0x1000000));
        Assert.Equal(2304, Failure(Absolute64, Text, TextAddress, ulong.MaxValue));
        Assert.Equal(2304, Failure(Absolute64, Text, TextAddress, TextAddress + 0xff9));
        Assert.Equal(2304, Failure(Relative32, PerCpu, 0x40, 0x1000000));
        Assert.Equal(2304, Failure(OffsetTable, Text, TextAddress, DataAddress + 0x1000));

        static int Failure(uint type, int section, ulong value, ulong place)
        {
            var builder = new KernelElfBuilder();
            builder.AddRelocation(Text, type, place, builder.AddSymbol("symbol", section, value));
            return Assert.Throws<KaslrMtException>(() => Table(builder)).Code.Number;
        }
    }

    [Theory]
    [InlineData(6, 40, 99, 2307)]
    [InlineData(6, 40, 1, 2307)]
    [InlineData(6, 44, 99, 2307)]
    [InlineData(6, 56, 16, 2307)]
    [InlineData(6, 32, 23, 2307)]
    [InlineData(7, 40, 99, 2307)]
    [InlineData(7, 40, 1, 2307)]
    [InlineData(7, 56, 16, 2307)]
    [InlineData(7, 32, 25, 2307)]
    [InlineData(7, 32, 24, 2308)]
    [InlineData(8, 32, 3, 2308)]
    public void Each_field_of_a_relocation_or_symbol_section_that_is_wrong_has_its_number(int section, int field, byte value, int number)
    {
        var builder = new KernelElfBuilder();
        builder.AddRelocation(Text, Absolute64, Place, builder.AddSymbol("a_function", Text, TextAddress));
        byte[] file = builder.Build();
        file[(int)BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(40)) + (section * 64) + field] = value;

        Assert.Equal(
            number, Assert.Throws<KaslrMtException>(() => RelocationTable.FromRelaSections(file, ElfImage.Read(file))).Code.Number);
    }

    [Fact]
    public void A_hostile_symbol_name_reaches_no_terminal()
    {
        string name = "a\u001b[31m\nb\u0090" + new string('x', 500);
        KaslrMtException error = Assert.Throws<KaslrMtException>(
            () => ListOf(Absolute64, builder => builder.AddSymbol(name, Absolute, 5), zeroBased: true));

        Assert.Contains("symbol a?[31m?b?xxx", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(error.Message, char.IsControl);
        Assert.True(error.Message.Length < 400, error.Message);
    }

    private static RelocationTable Table(KernelElfBuilder builder)
    {
        byte[] file = builder.Build();
        return RelocationTable.FromRelaSections(file, ElfImage.Read(file));
    }

    private static string ListOf(uint type, Func<KernelElfBuilder, uint> addSymbol, bool zeroBased)
    {
        var builder = new KernelElfBuilder(zeroBased);
        builder.AddRelocation(Text, type, Place, addSymbol(builder));
        RelocationTable table = Table(builder);
        Assert.Equal(zeroBased, table.HasInverse);
        return ListOf(table, unchecked((uint)Place));
    }

    private static string ListOf(RelocationTable table, uint entry)
    {
        string list = table.Add64.Contains(entry) ? "64"
            : table.Subtract32.Contains(entry) ? "inverse"
            : table.Add32.Contains(entry) ? "32"
            : "";
        Assert.Equal(list.Length > 0 ? 1 : 0, table.Count);
        return list;
    }

    private static void WriteWord(KernelElfBuilder builder, ulong place, uint word) =>
        BinaryPrimitives.WriteUInt32LittleEndian(builder.Contents[(int)(place - TextAddress + TextOffset)..], word);
}
