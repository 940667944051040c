using System.Buffers.Binary;
using BenchmarkDotNet.Attributes;

namespace KaslrMt.Bench;

/// <summary>Moving a kernel: the product's prepared lists beside the plain loop that anybody would write first.</summary>
public class RelocationBenchmark
{
    private const ulong Slide = 0x1d200000;

    private byte[] _file = [];
    private ElfImage? _elf;
    private RelocationTable? _table;

    [ParamsSource(nameof(Kernels))]
    public string Kernel { get; set; } = "";

    public static IEnumerable<string> Kernels => TestKernels.Always;

    [GlobalSetup]
    public void Setup()
    {
        _file = BenchKernel.ReadUnpacked(Kernel);
        _elf = ElfImage.Read(_file);
        _table = RelocationTable.Read(_file, _elf);
    }

    [Benchmark]
    public void Apply() => _table!.Apply(_file, Slide);

    [Benchmark(Baseline = true)]
    public void NaiveLoop()
    {
        foreach (uint entry in _table!.Add32)
        {
            Span<byte> place = Place(entry, sizeof(uint));
            BinaryPrimitives.WriteUInt32LittleEndian(place, BinaryPrimitives.ReadUInt32LittleEndian(place) + (uint)Slide);
        }

        foreach (uint entry in _table.Subtract32)
        {
            Span<byte> place = Place(entry, sizeof(uint));
            BinaryPrimitives.WriteUInt32LittleEndian(place, BinaryPrimitives.ReadUInt32LittleEndian(place) - (uint)Slide);
        }

        foreach (uint entry in _table.Add64)
        {
            Span<byte> place = Place(entry, sizeof(ulong));
            BinaryPrimitives.WriteUInt64LittleEndian(place, BinaryPrimitives.ReadUInt64LittleEndian(place) + Slide);
        }
    }

    /// <summary>How many entries the kernel's table has.</summary>
    internal static int Entries(string kernel)
    {
        byte[] file = BenchKernel.ReadUnpacked(kernel);
        return RelocationTable.Read(file, ElfImage.Read(file)).Count;
    }

    private Span<byte> Place(uint entry, int length) =>
        _elf!.TryGetFileOffset(RelocationTable.LinkAddress(entry), length, out int offset)
            ? _file.AsSpan(offset, length)
            : throw new InvalidOperationException();
}
