namespace KaslrMt.Guests;

/// <summary>The names of sections, states and taints in reports.</summary>
public static class ModuleSectionNames
{
    // Documentation/admin-guide/tainted-kernels.rst; those that a module can set.
    private static readonly (int Bit, char Letter)[] Letters =
        [(0, 'P'), (1, 'F'), (10, 'C'), (12, 'O'), (13, 'E'), (15, 'K'), (16, 'X'), (17, 'T'), (18, 'N')];

    /// <summary>The name of a group of sections.</summary>
    public static string Name(this ModuleSection section) => section switch
    {
        ModuleSection.Text => "text",
        ModuleSection.ReadOnlyData => "rodata",
        ModuleSection.ReadOnlyAfterInit => "ro-after-init",
        ModuleSection.Data => "data",
        ModuleSection.InitText => "init-text",
        ModuleSection.InitReadOnlyData => "init-rodata",
        ModuleSection.InitData => "init-data",
        _ => throw new ArgumentOutOfRangeException(nameof(section)),
    };

    /// <summary>The name of a state, as <c>/proc/modules</c> has it.</summary>
    public static string Name(this ModuleState state) => state switch
    {
        ModuleState.Live => "live",
        ModuleState.Coming => "loading",
        ModuleState.Going => "unloading",
        ModuleState.Unformed => "unformed",
        _ => throw new ArgumentOutOfRangeException(nameof(state)),
    };

    /// <summary>A module's taints as letters, as <c>/proc/modules</c> has them; a question mark for those unknown here.</summary>
    public static string TaintLetters(this GuestModule module)
    {
        ArgumentNullException.ThrowIfNull(module);
        ulong known = Letters.Aggregate(0UL, (bits, letter) => bits | (1UL << letter.Bit));
        string letters = string.Concat(Letters.Where(letter => (module.Taints & (1UL << letter.Bit)) != 0).Select(letter => letter.Letter));
        return (module.Taints & ~known) == 0 ? letters : letters + "?";
    }
}
