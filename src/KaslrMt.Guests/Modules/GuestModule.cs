using System.Collections.Immutable;

namespace KaslrMt.Guests;

/// <summary>A module in a guest's kernel.</summary>
/// <param name="Name">Its name; what is not printable ASCII is a question mark.</param>
/// <param name="State">Its state.</param>
/// <param name="Taints">What it taints the kernel with, bits as in <c>/proc/sys/kernel/tainted</c>.</param>
/// <param name="Descriptor">Its <c>struct module</c>.</param>
/// <param name="Areas">Its groups of sections, as <see cref="ModuleSection"/> counts them; those it does not have, or no more, are left out.</param>
/// <param name="Symbols">Where its symbol table lies.</param>
public sealed record GuestModule(
    string Name, ModuleState State, ulong Taints, VirtualAddress Descriptor, ImmutableArray<ModuleArea> Areas, ModuleSymbolTable Symbols)
{
    /// <summary>The address that <c>/proc/modules</c> gives: that of its text; null for a module without one.</summary>
    public VirtualAddress? Address => Areas.Length > 0 && Areas[0].Section == ModuleSection.Text ? Areas[0].Address : null;

    /// <summary>The bytes of all its areas.</summary>
    public ulong Size => Areas.Aggregate(0UL, (sum, area) => sum + area.Size);

    /// <summary>The name. Addresses are secrets of a running VM.</summary>
    public override string ToString() => Name;
}
