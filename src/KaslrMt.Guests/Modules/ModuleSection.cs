namespace KaslrMt.Guests;

/// <summary>A group of a module's sections that share permissions (<c>enum mod_mem_type</c>, <c>include/linux/module.h</c>).</summary>
public enum ModuleSection
{
    /// <summary>Code.</summary>
    Text,

    /// <summary>Read-only data.</summary>
    ReadOnlyData,

    /// <summary>Data that is read-only once the module is initialized.</summary>
    ReadOnlyAfterInit,

    /// <summary>Data.</summary>
    Data,

    /// <summary>Code that is freed after initialization.</summary>
    InitText,

    /// <summary>Read-only data that is freed after initialization.</summary>
    InitReadOnlyData,

    /// <summary>Data that is freed after initialization.</summary>
    InitData,
}
