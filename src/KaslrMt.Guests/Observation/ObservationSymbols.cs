using System.Collections.Immutable;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>The kernel variables that tell a region's base where page tables alone do not.</summary>
/// <param name="LinkBase">The link address of the kernel's first byte.</param>
/// <param name="VmallocBase">The link address of <c>vmalloc_base</c>.</param>
/// <param name="ModuleStart">The link addresses of the variables that may hold the first module address (<c>execmem_info</c>, 6.10 on; two
/// variables have that name, one points to the other).</param>
/// <param name="ModuleLoadOffset">The link address of <c>module_load_offset</c>, before 6.10; null later.</param>
public sealed record ObservationSymbols(
    VirtualAddress LinkBase, VirtualAddress VmallocBase, ImmutableArray<VirtualAddress> ModuleStart, VirtualAddress? ModuleLoadOffset)
{
    private const string VmallocBaseName = "vmalloc_base";
    private const string ExecmemInfoName = "execmem_info";
    private const string ModuleLoadOffsetName = "module_load_offset";

    /// <summary>Takes the variables from what is known of a kernel.</summary>
    /// <exception cref="KaslrMtException">KMT5011 when <c>vmalloc_base</c> is not known.</exception>
    public static ObservationSymbols Of(KernelFacts kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ImmutableArray<VirtualAddress> Addresses(string name) =>
            kernel.Variables.TryGetValue(name, out ImmutableArray<ulong> addresses) ? [.. addresses.Select(address => new VirtualAddress(address))] : [];

        ImmutableArray<VirtualAddress> vmalloc = Addresses(VmallocBaseName);
        ImmutableArray<VirtualAddress> offset = Addresses(ModuleLoadOffsetName);
        return vmalloc.IsEmpty
            ? throw new KaslrMtException(GuestErrors.NoKernel, $"the kernel's {VmallocBaseName} is not known", "give the kernel the guest runs")
            : new ObservationSymbols(new VirtualAddress(kernel.LinkBase), vmalloc[0], Addresses(ExecmemInfoName), offset.IsEmpty ? null : offset[0]);
    }
}
