using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>What classifying pages needs of a kernel: a <see cref="GuestKernel"/>'s, or a test's.</summary>
/// <param name="Memory">The guest's RAM.</param>
/// <param name="Tables">The kernel's page tables.</param>
/// <param name="Types">Its structures.</param>
/// <param name="VirtualBase">Where <c>_text</c> is mapped.</param>
/// <param name="PhysicalBase">Where <c>_text</c> lies in RAM.</param>
/// <param name="Symbol">The run-time address of a symbol, null where there is none.</param>
/// <param name="Read">Reads kernel memory.</param>
internal sealed record KernelAccess(
    IGuestMemory Memory,
    PageTableWalk Tables,
    TypeTable Types,
    VirtualAddress VirtualBase,
    PhysicalAddress PhysicalBase,
    Func<string, VirtualAddress?> Symbol,
    KernelReader Read)
{
    internal static KernelAccess Of(GuestKernel kernel) =>
        new(kernel.Memory, kernel.Tables, kernel.Types, kernel.VirtualBase, kernel.PhysicalBase, kernel.Symbol, kernel.TryRead);

    internal bool TryReadWord(VirtualAddress address, out ulong word)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bool read = Read(address, bytes);
        word = read ? BitConverter.ToUInt64(bytes) : 0;
        return read;
    }

    /// <summary>Shows nothing: the bases are secrets of a running VM.</summary>
    public override string ToString() => nameof(KernelAccess);
}
