using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>A guest that is audited, and what is known about it from outside.</summary>
/// <remarks>Disposes of nothing: guest and image are the caller's.</remarks>
/// <param name="kernel">The guest's kernel.</param>
public sealed class AuditSubject(GuestKernel kernel)
{
    private readonly Lazy<IReadOnlyList<KernelPages>> _pages = new(() => KernelPages.Unusual(kernel.Tables, kernel.Memory));

    /// <summary>The guest's kernel.</summary>
    public GuestKernel Kernel => kernel;

    /// <summary>The guest's RAM.</summary>
    public IGuestMemory Memory => kernel.Memory;

    /// <summary>The kernel file that the guest was started with; null when it is not known. It is moved by the audit.</summary>
    public KernelImage? Image { get; init; }

    /// <summary>The secrets that the guest must not hold; null when they are not known.</summary>
    public Layout.SecretTraces? Secrets { get; init; }

    /// <summary>Whether what the log leaks is shown whole; else its addresses are masked.</summary>
    public bool ShowAddresses { get; init; }

    /// <summary>All that the kernel half maps with an unusual permission: runs of pages, ascending.</summary>
    internal IReadOnlyList<KernelPages> UnusualPages => _pages.Value;

    /// <summary>Returns the symbol that an address belongs to and the offset in it, such as <c>__x64_sys_getpid+0x12</c>; the address where there is none.</summary>
    public string Describe(VirtualAddress address)
    {
        if (kernel.Symbols.Find(address) is not { } place)
        {
            return address.ToString();
        }

        // Of several names for one place, the one that other files know: __x64_sys_getpid, not __do_sys_getpid.
        string name = place.Aliases.Prepend(place.Symbol).FirstOrDefault(symbol => char.IsAsciiLetterUpper(symbol.Type), place.Symbol).Name;
        return $"{name}+0x{place.Offset:x}";
    }

    /// <summary>The type's name.</summary>
    public override string ToString() => nameof(AuditSubject);
}
