using System.Buffers.Binary;
using System.Reflection;

namespace KaslrMt.Kernels.Tests;

public class ElfImageTests
{
    private const int FirstSegment = 64;
    private const int SecondSegment = 120;
    private const int NoteSegment = 232;

    private static readonly string[] AllSections =
        ["", ".text", ".notes", ".data", ".data..percpu", ".debug_info", ".symtab", ".strtab", ".strtab"];

    [Fact]
    public void A_well_formed_kernel_is_read_field_by_field()
    {
        byte[] file = new KernelElfBuilder().Build(0, 0);
        ElfImage elf = ElfImage.Read(file);

        Assert.Equal(new PhysicalAddress(0x1000040), elf.Entry);
        Assert.Equal(4, elf.Segments.Length);
        Assert.Equal(3, elf.Loads.Length);
        var data = new ElfSegment(
            ElfSegmentType.Load,
            ElfSegmentFlags.Read | ElfSegmentFlags.Write,
            KernelElfBuilder.DataOffset,
            new VirtualAddress(KernelElfBuilder.DataAddress),
            new PhysicalAddress(0x1200000),
            0x1000,
            0x1800,
            0x1000);
        Assert.Equal(data, elf.Loads[1]);
        Assert.Equal(new PhysicalAddress(0x1201800), data.PhysicalEnd);
        Assert.Equal(ElfSegmentType.Note, elf.Segments[3].Type);
        Assert.Equal(new PhysicalAddress(0x1000000), elf.PhysicalStart);
        Assert.Equal(new PhysicalAddress(0x1401000), elf.PhysicalEnd);
        Assert.Equal(0x401000, elf.Span);
        Assert.Equal(file.Length - 8, elf.FileEnd);
        Assert.Equal(AllSections, elf.Sections.Select(section => section.Name));
        ElfSection text = Assert.NotNull(elf.FindSection(".text"));
        Assert.Equal((KernelElfBuilder.TextOffset, 0xf00, 0xf00UL), (text.FileOffset, text.FileSize, text.Size));
        Assert.Equal(ElfSectionFlags.Allocate | ElfSectionFlags.Execute, text.Flags);
        Assert.Null(elf.FindSection(".nothing"));
    }

    [Theory]
    [InlineData(0xffffffff81000000, 8, true, 0x1000)]
    [InlineData(0xffffffff81000ff8, 8, true, 0x1ff8)]
    [InlineData(0xffffffff81000ff9, 8, false, 0)]
    [InlineData(0xffffffff80ffffff, 1, false, 0)]
    [InlineData(0xffffffff81001000, 1, false, 0)]
    [InlineData(0xffffffff81200fff, 1, true, 0x2fff)]
    [InlineData(0xffffffff81201000, 1, false, 0)]
    [InlineData(0xffffffff81400010, 4, true, 0x3010)]
    [InlineData(0x0000000000000010, 4, false, 0)]
    [InlineData(0x0000000081000000, 4, false, 0)]
    public void A_link_address_leads_to_its_bytes_or_to_none(ulong address, int length, bool found, int expected)
    {
        ElfImage elf = ElfImage.Read(new KernelElfBuilder().Build());

        Assert.Equal(found, elf.TryGetFileOffset(new VirtualAddress(address), length, out int offset));
        Assert.Equal(expected, offset);
    }

    [Theory]
    [InlineData("magic", 0, 1, 0x7e, 2200)]
    [InlineData("class", 4, 1, 1, 2201)]
    [InlineData("byte order", 5, 1, 2, 2201)]
    [InlineData("identification version", 6, 1, 0, 2201)]
    [InlineData("relocatable type", 16, 2, 1, 2201)]
    [InlineData("machine", 18, 2, 183, 2201)]
    [InlineData("version", 20, 4, 2, 2201)]
    [InlineData("entry below", 24, 8, 0xffffff, 2211)]
    [InlineData("entry in a hole", 24, 8, 0x1001000, 2211)]
    [InlineData("program headers over the ELF header", 32, 8, 56, 2203)]
    [InlineData("program headers past the end", 32, 8, 0x7fffffff, 2203)]
    [InlineData("program headers wrap", 32, 8, -8L, 2203)]
    [InlineData("section headers over the ELF header", 40, 8, 8, 2212)]
    [InlineData("section headers past the end", 40, 8, 0x7fffffff, 2212)]
    [InlineData("section headers wrap", 40, 8, -64L, 2212)]
    [InlineData("no place but a count of section headers", 40, 8, 0, 2212)]
    [InlineData("ELF header size", 52, 2, 52, 2202)]
    [InlineData("program header size", 54, 2, 32, 2202)]
    [InlineData("no program headers", 56, 2, 0, 2203)]
    [InlineData("65 program headers", 56, 2, 65, 2203)]
    [InlineData("section header size", 58, 2, 40, 2202)]
    [InlineData("extended section count", 60, 2, 0, 2212)]
    [InlineData("too many sections", 60, 2, 0xffff, 2212)]
    [InlineData("names in no section", 62, 2, 9, 2214)]
    [InlineData("names in a section that holds none", 62, 2, 1, 2214)]
    [InlineData("offset past the end", FirstSegment + 8, 8, 0x7fffffff, 2204)]
    [InlineData("offset wraps", FirstSegment + 8, 8, -16L, 2204)]
    [InlineData("file size past the end", FirstSegment + 32, 8, 0x7fffffff, 2204)]
    [InlineData("file size wraps", FirstSegment + 32, 8, -16L, 2204)]
    [InlineData("more in the file than in memory", FirstSegment + 40, 8, 0xfff, 2205)]
    [InlineData("memory wraps", FirstSegment + 40, 8, 0x7f000000, 2206)]
    [InlineData("memory above 1 GiB", FirstSegment + 40, 8, 0x3f000001, 2210)]
    [InlineData("physical address wraps", FirstSegment + 24, 8, -16L, 2206)]
    [InlineData("physical address above 1 GiB", FirstSegment + 24, 8, 0x40000000, 2210)]
    [InlineData("virtual address elsewhere", FirstSegment + 16, 8, 0x1000000, 2215)]
    [InlineData("note outside the file", NoteSegment + 8, 8, 0x7fffffff, 2204)]
    [InlineData("alignment", FirstSegment + 48, 8, 0x1001, 2207)]
    [InlineData("memory runs into the next segment", FirstSegment + 40, 8, 0x200001, 2208)]
    [InlineData("two segments share bytes of the file", SecondSegment + 8, 8, 0x1fff, 2208)]
    public void Each_header_field_that_is_wrong_has_its_number(string field, int offset, int size, long value, int number)
    {
        byte[] file = new KernelElfBuilder().Build();
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        bytes[..size].CopyTo(file.AsSpan(offset));

        KaslrMtException error = Assert.Throws<KaslrMtException>(() => ElfImage.Read(file));

        Assert.True(number == error.Code.Number, $"{field}: {error.Code} {error.Message}");
        Assert.StartsWith("kernel ELF", error.Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 0x1000, 2214)]
    [InlineData(24, 0x7fffffff, 2213)]
    [InlineData(24, -1L, 2213)]
    [InlineData(32, 0x7fffffff, 2213)]
    [InlineData(32, -1L, 2213)]
    public void Each_section_field_that_is_wrong_has_its_number(int field, long value, int number)
    {
        byte[] file = new KernelElfBuilder().Build();
        int text = (int)BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(40)) + (KernelElfBuilder.Text * 64) + field;
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        bytes[..(field == 0 ? 4 : 8)].CopyTo(file.AsSpan(text));

        Assert.Equal(number, Assert.Throws<KaslrMtException>(() => ElfImage.Read(file)).Code.Number);
    }

    [Fact]
    public void A_section_name_that_a_terminal_would_obey_is_refused()
    {
        byte[] file = new KernelElfBuilder().Build();
        file[file.AsSpan().IndexOf(".notes"u8)] = 0x1b;

        Assert.Equal(KernelErrors.SectionName, Assert.Throws<KaslrMtException>(() => ElfImage.Read(file)).Code);
    }

    [Fact]
    public void Sections_may_have_no_names()
    {
        byte[] file = new KernelElfBuilder().Build();
        file.AsSpan(62, 2).Clear();

        Assert.All(ElfImage.Read(file).Sections, section => Assert.Equal("", section.Name));
    }

    [Fact]
    public void A_section_without_bytes_may_name_any_place_in_the_file()
    {
        byte[] file = new KernelElfBuilder().Build();
        int data = (int)BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(40)) + (KernelElfBuilder.Data * 64);
        file[data + 4] = 8;
        file.AsSpan(data + 24, 4).Fill(0xff);

        Assert.Equal(0, ElfImage.Read(file).Sections[KernelElfBuilder.Data].FileSize);
    }

    [Fact]
    public void A_message_says_field_offset_expected_and_found()
    {
        byte[] file = new KernelElfBuilder().Build();
        file[56] = 99;

        KaslrMtException error = Assert.Throws<KaslrMtException>(() => ElfImage.Read(file));

        Assert.Equal("kernel ELF, file offset 0x38: e_phnum: expected 1 to 64, found 0x63", error.Problem);
        Assert.NotNull(error.Remedy);
    }

    [Fact]
    public void Segments_that_are_none_or_all_empty_are_refused()
    {
        byte[] file = new KernelElfBuilder().Build();
        foreach (int segment in (int[])[64, 120, 176])
        {
            file[segment] = 6;
        }

        Assert.Equal(KernelErrors.NoLoadSegment, Assert.Throws<KaslrMtException>(() => ElfImage.Read(file)).Code);
    }

    [Fact]
    public void A_file_cut_anywhere_is_refused()
    {
        byte[] file = new KernelElfBuilder().Build();
        for (int length = 0; length < file.Length; length++)
        {
            Assert.Throws<KaslrMtException>(() => ElfImage.Read(file.AsSpan(0, length)));
        }
    }

    [Fact]
    public void The_list_of_errors_that_a_worker_may_report_has_each_error_of_kernels_once_and_no_other()
    {
        ErrorCode[] declared = [.. typeof(KernelErrors).GetFields(BindingFlags.Public | BindingFlags.Static)
            .Where(field => field.FieldType == typeof(ErrorCode)).Select(field => (ErrorCode)field.GetValue(null)!)];

        Assert.NotEmpty(declared);
        Assert.Equal(declared.Select(error => error.Number).Order(), KernelErrors.All.Select(error => error.Number).Order());
        Assert.Equal(KernelErrors.All.Length, KernelErrors.All.Select(error => error.Number).Distinct().Count());
        Assert.All(KernelErrors.All, error => Assert.InRange(error.Number, 2000, 2899));
    }
}
