namespace KaslrMt.Kernels;

/// <summary>How a guest's kernel chooses where a module goes.</summary>
public enum ModuleAddresses
{
    /// <summary>Into the first hole: as the kernel comes. Addresses follow from the order in which modules are loaded.</summary>
    ByOrder,

    /// <summary>Where the module's name says: <see cref="ModuleNamePatch"/>.</summary>
    ByName,
}
