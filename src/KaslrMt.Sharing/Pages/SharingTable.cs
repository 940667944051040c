using System.Collections.Immutable;
using KaslrMt.Guests;

namespace KaslrMt.Sharing;

/// <summary>How the pages of some guests repeat, by class.</summary>
/// <param name="Classes">A tally for each class, by its number: pages of the class against pages of the same class.</param>
/// <param name="All">All pages against all.</param>
/// <param name="Kernel">Pages of the paper's six regions against one another.</param>
/// <param name="Changed">Pages whose fingerprint matched and whose bytes did not: they changed while they were read. They count as distinct.</param>
public sealed record SharingTable(ImmutableArray<PageTally> Classes, PageTally All, PageTally Kernel, long Changed)
{
    /// <summary>The paper's six regions (section 5).</summary>
    public static ImmutableArray<PageClass> KernelClasses { get; } =
        [PageClass.KernelCode, PageClass.KernelData, PageClass.ModuleCode, PageClass.ModuleData, PageClass.Vmalloc, PageClass.Vmemmap];

    /// <summary>The tally of a class.</summary>
    public PageTally this[PageClass pageClass] => Classes[(int)pageClass];
}
