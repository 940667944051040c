namespace KaslrMt.Guests;

/// <summary>The classes' names in reports.</summary>
public static class PageClassNames
{
    /// <summary>All classes, in order.</summary>
    public static IReadOnlyList<PageClass> All { get; } = Enum.GetValues<PageClass>();

    /// <summary>The name in reports and JSON.</summary>
    public static string Name(this PageClass pageClass) => pageClass switch
    {
        PageClass.KernelCode => "kernel-code",
        PageClass.KernelData => "kernel-data",
        PageClass.ModuleCode => "module-code",
        PageClass.ModuleData => "module-data",
        PageClass.Vmalloc => "vmalloc",
        PageClass.Vmemmap => "vmemmap",
        PageClass.PageTable => "page-tables",
        PageClass.Slab => "slab",
        PageClass.PageCache => "page-cache",
        PageClass.User => "user",
        PageClass.Free => "free",
        PageClass.Reserved => "reserved",
        PageClass.OtherKernel => "other-kernel",
        _ => throw new ArgumentOutOfRangeException(nameof(pageClass)),
    };
}
