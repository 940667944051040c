using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>The Linux kernel in a guest's memory, found there without being told anything: no image, no registers, no layout.</summary>
/// <remarks>What it knows of the guest (bases, symbols) is a secret of that VM. A running guest goes on changing below it.</remarks>
public sealed class GuestKernel
{
    private const ulong TextStart = 0xffffffff80000000;
    private const ulong TextEnd = 0xffffffffbfffffff;
    private const int PageSize = 4096;

    // Debian's largest needs 60 MB; a kernel with everything built in has been seen at 200.
    private const ulong MaximumSpan = 512 << 20;
    private const int MaximumBanner = 512;
    private const string BannerMark = "Linux version ";

    // Debian's kernels have 4 to 7 MB.
    private const ulong MaximumTypes = TypeTable.MaxBytes;

    private readonly ConcurrentDictionary<string, VirtualAddress?> _symbols = new();
    private readonly Lazy<TypeTable> _types;

    private GuestKernel(IGuestMemory memory, PageTableWalk tables, Mapping text, Kallsyms symbols)
    {
        Memory = memory;
        Tables = tables;
        PhysicalBase = text.Target;
        VirtualBase = text.Address;
        Symbols = symbols;
        _types = new Lazy<TypeTable>(ReadTypes);
        Banner = ReadBanner();
        Release = Banner.StartsWith(BannerMark, StringComparison.Ordinal) ? Banner[BannerMark.Length..].Split(' ')[0] : "";
    }

    /// <summary>The guest's RAM.</summary>
    public IGuestMemory Memory { get; }

    /// <summary>The kernel's page tables: a top table of one of the guest's address spaces; the kernel half is the same in all.</summary>
    public PageTableWalk Tables { get; }

    /// <summary>Where <c>_text</c> lies in RAM.</summary>
    public PhysicalAddress PhysicalBase { get; }

    /// <summary>The run-time address of <c>_text</c>.</summary>
    public VirtualAddress VirtualBase { get; }

    /// <summary>The kernel's own symbols, at their run-time addresses.</summary>
    public Kallsyms Symbols { get; }

    /// <summary>What the kernel says of itself: <c>Linux version …</c>, one line of printable ASCII; empty when it has none.</summary>
    public string Banner { get; }

    /// <summary>The release, such as <c>6.1.0-56-cloud-amd64</c>; empty when the banner does not say.</summary>
    public string Release { get; }

    /// <summary>The kernel's own description of its structures; read when first asked for.</summary>
    /// <exception cref="KaslrMtException">KMT27xx when it has none or it is damaged; KMT50xx when the guest goes away.</exception>
    public TypeTable Types => _types.Value;

    /// <summary>Finds the kernel of a guest that has booted far enough to run on its own page tables.</summary>
    /// <param name="memory">The guest's RAM.</param>
    /// <param name="hints">What is known of it already.</param>
    /// <exception cref="KaslrMtException">KMT5011 when there is none, KMT5012 for hostile tables, KMT50xx when the guest goes away.</exception>
    public static GuestKernel Find(IGuestMemory memory, KernelHints hints = default)
    {
        ArgumentNullException.ThrowIfNull(memory);
        KernelRoot root = KernelRoot.Find(memory) ?? throw NoKernel("no page in its RAM is a top page table that maps a kernel");
        var tables = new PageTableWalk(memory, root.Table, root.Levels);
        List<Mapping> text = Text(tables);
        return new GuestKernel(memory, tables, text[0], ReadSymbols(memory, text));
    }

    /// <summary>The run-time address of a symbol; the lowest where several have the name.</summary>
    public VirtualAddress? Symbol(string name) => _symbols.GetOrAdd(name, wanted =>
    {
        Symbols.TryResolve([wanted], out VirtualAddress?[] found);
        return found[0];
    });

    /// <summary>Reads kernel memory through the page tables, across pages.</summary>
    /// <returns>False, with <paramref name="destination"/> partly written, when not all of it is mapped to RAM.</returns>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away.</exception>
    public bool TryRead(VirtualAddress address, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            if (!Tables.TryTranslate(address, out Mapping mapping))
            {
                return false;
            }

            ulong skipped = address - mapping.Address;
            int length = (int)Math.Min((ulong)destination.Length, mapping.Size - skipped);
            if (!Memory.TryRead(mapping.Target + skipped, destination[..length]))
            {
                return false;
            }

            destination = destination[length..];
            address += (ulong)length;
        }

        return true;
    }

    /// <summary>Reads a 64-bit word of kernel memory.</summary>
    /// <returns>False when it is not mapped to RAM.</returns>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away.</exception>
    public bool TryReadWord(VirtualAddress address, out ulong word)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bool read = TryRead(address, bytes);
        word = read ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : 0;
        return read;
    }

    /// <summary>Shows nothing: the bases are secrets of a running VM.</summary>
    public override string ToString() => nameof(GuestKernel);

    private static List<Mapping> Text(PageTableWalk tables)
    {
        List<Mapping> text = [];
        foreach (Mapping mapping in tables.Leaves(new VirtualAddress(TextStart), new VirtualAddress(TextEnd)))
        {
            // One piece of RAM at one distance is the kernel; anything else in its GiB is not.
            bool same = text.Count == 0 || mapping.Address - new VirtualAddress(mapping.Target.Value) == text[0].Address - new VirtualAddress(text[0].Target.Value);
            if (same && (text.Count == 0 || mapping.Address - text[0].Address < MaximumSpan))
            {
                text.Add(mapping);
            }
        }

        return text.Count > 0 ? text : throw NoKernel("its text mapping is empty");
    }

    private static Kallsyms ReadSymbols(IGuestMemory memory, List<Mapping> text)
    {
        // What is not mapped (freed init memory) stays zero.
        VirtualAddress start = text[0].Address;
        using var image = new NativeBuffer((long)(text[^1].Address + text[^1].Size - start));
        foreach (Mapping mapping in text)
        {
            _ = memory.TryRead(mapping.Target, image.Span.Slice((int)(mapping.Address - start), (int)mapping.Size));
        }

        return Kallsyms.TryCopy(image.Span, start, out Kallsyms? symbols, out KaslrMtException? error)
            ? symbols
            : throw NoKernel($"there is no symbol table in it ({error.Problem})");
    }

    private TypeTable ReadTypes()
    {
        ulong length = Symbol("__start_BTF") is VirtualAddress start && Symbol("__stop_BTF") is VirtualAddress stop ? stop - start : 0;
        var bytes = new byte[length <= MaximumTypes ? length : 0];
        return TypeTable.Read(bytes.Length > 0 && TryRead(Symbol("__start_BTF")!.Value, bytes) ? bytes : default);
    }

    private string ReadBanner()
    {
        var bytes = new byte[MaximumBanner];
        if (Symbol("linux_banner") is not VirtualAddress banner || !TryRead(banner, bytes))
        {
            return "";
        }

        int end = bytes.AsSpan().IndexOfAnyExceptInRange((byte)0x20, (byte)0x7e);
        return Encoding.ASCII.GetString(bytes.AsSpan(0, end < 0 ? bytes.Length : end));
    }

    private static KaslrMtException NoKernel(string problem) => new(
        ObservationErrors.NoKernel, $"no running Linux kernel is to be seen in the guest's memory: {problem}", "wait until the guest has booted");
}
