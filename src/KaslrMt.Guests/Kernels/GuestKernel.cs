using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>The Linux kernel in a guest's memory, found there without being told anything: no image, no registers, no layout.</summary>
/// <remarks>What it knows of the guest (bases, symbols) is a secret of that VM. A running guest goes on changing below it.</remarks>
public sealed class GuestKernel
{
    private const int MaximumBanner = 512;
    private const ulong LargePage = 2 << 20;
    private const string BannerMark = "Linux version ";

    // Debian's kernels have 4 to 7 MB.
    private const ulong MaximumTypes = TypeTable.MaxBytes;

    private readonly ConcurrentDictionary<string, VirtualAddress?> _symbols = new();
    private readonly Lazy<TypeTable> _types;
    private readonly Lazy<Kallsyms> _kallsyms;
    private readonly Translation?[] _translations = new Translation?[256];

    private GuestKernel(IGuestMemory memory, FoundKernel found, string? banner)
    {
        Memory = memory;
        Tables = found.Tables;
        PhysicalBase = found.PhysicalBase;
        VirtualBase = found.VirtualBase;
        _kallsyms = found.Symbols is { } symbols ? new Lazy<Kallsyms>(symbols) : new Lazy<Kallsyms>(() => KernelFinder.ReadSymbols(memory, found.Tables));
        _types = new Lazy<TypeTable>(ReadTypes);
        Banner = banner ?? ReadBanner();
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

    /// <summary>The kernel's own symbols, at their run-time addresses; of a kernel found by its image, read when first asked for.</summary>
    /// <exception cref="KaslrMtException">KMT5011 when its memory holds none; KMT50xx when the guest goes away.</exception>
    public Kallsyms Symbols => _kallsyms.Value;

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
    /// <exception cref="KaslrMtException">
    /// KMT5011 when there is none, KMT5012 for hostile tables, KMT5014 when it is not the one of the hints' image, KMT50xx when the guest goes away.
    /// </exception>
    public static GuestKernel Find(IGuestMemory memory, KernelHints hints = default)
    {
        ArgumentNullException.ThrowIfNull(memory);
        FoundKernel found = new KernelFinder(memory, hints).Find();
        var kernel = new GuestKernel(memory, found, found.Symbols is null && hints.Image is { } same ? Encoding.ASCII.GetString(same.Banner) : null);
        return hints.Image is { } image && found.Symbols is not null ? throw WrongImage(image, kernel) : kernel;
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
            if (!TryTranslate(address, out Mapping mapping))
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

    /// <summary>Whether the kernel says that it is still booting (<c>system_state</c>, include/linux/kernel.h): its code is writable until it is done.</summary>
    /// <remarks>The guest's own word, which a hostile one may change. False where it does not say.</remarks>
    /// <exception cref="KaslrMtException">KMT27xx when its types are damaged; KMT50xx when the guest goes away.</exception>
    public bool IsBooting()
    {
        Span<byte> state = stackalloc byte[sizeof(int)];
        return Symbol("system_state") is VirtualAddress address && TryRead(address, state)
            && Types.EnumValue("system_states", "SYSTEM_RUNNING") is long running
            && BinaryPrimitives.ReadInt32LittleEndian(state) < running;
    }

    /// <summary>Shows nothing: the bases are secrets of a running VM.</summary>
    public override string ToString() => nameof(GuestKernel);

    private TypeTable ReadTypes()
    {
        ulong length = Symbol("__start_BTF") is VirtualAddress start && Symbol("__stop_BTF") is VirtualAddress stop ? stop - start : 0;
        var bytes = new byte[length <= MaximumTypes ? length : 0];
        return TypeTable.Read(bytes.Length > 0 && TryRead(Symbol("__start_BTF")!.Value, bytes) ? bytes : default);
    }

    private static KaslrMtException WrongImage(KernelIdentity image, GuestKernel found) => new(
        GuestErrors.WrongImage,
        found.Release == image.Release
            ? $"the guest runs another build of {image.Release} than this image"
            : $"the guest runs {(found.Release.Length > 0 ? found.Release : "another kernel")}, not {image.Release}",
        "give the image that the guest was started with, or none");

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

    // Large pages are the kernel's text and the direct map, which stay where they are; smaller ones come and go.
    private bool TryTranslate(VirtualAddress address, out Mapping mapping)
    {
        ref Translation? known = ref _translations[(address.Value / LargePage) % (ulong)_translations.Length];
        if (known is { } translation && address >= translation.Mapping.Address && address - translation.Mapping.Address < translation.Mapping.Size)
        {
            mapping = translation.Mapping;
            return true;
        }

        bool mapped = Tables.TryTranslate(address, out mapping);
        if (mapped && mapping.Size >= LargePage)
        {
            known = new Translation(mapping);
        }

        return mapped;
    }

    // An object, so that a thread that reads it while another replaces it sees one or the other.
    private sealed record Translation(Mapping Mapping);
}
