using System.Text;
using BenchmarkDotNet.Attributes;

namespace KaslrMt.Bench;

/// <summary>Finding all symbols that the boot patch needs, from the bare image on; beside enumerating all names.</summary>
public class KallsymsBenchmark
{
    private byte[] _file = [];
    private ElfSegment _text;

    [ParamsSource(nameof(Kernels))]
    public string Kernel { get; set; } = "";

    public static IEnumerable<string> Kernels => TestKernels.Always;

    [GlobalSetup]
    public void Setup()
    {
        _file = BenchKernel.ReadUnpacked(Kernel);
        _text = ElfImage.Read(_file).Loads[0];
    }

    [Benchmark]
    public int FindTablesAndSymbols() => BootSymbols.FindIn(Read()).Count;

    [Benchmark(Baseline = true)]
    public int EnumerateAllNames()
    {
        HashSet<string> wanted = [.. BootSymbols.All];
        Dictionary<string, VirtualAddress> found = [];
        foreach (KallsymsEntry symbol in Read())
        {
            string name = Encoding.ASCII.GetString(symbol.NameBytes);
            if (wanted.Contains(name))
            {
                found.TryAdd(name, symbol.Address);
            }
        }

        return found.Count;
    }

    private Kallsyms Read() => Kallsyms.Copy(_file.AsSpan(_text.FileOffset, _text.FileSize), _text.VirtualAddress);
}
