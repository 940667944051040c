namespace KaslrMt.Guests;

/// <summary>A module's state; the numbers are those of <c>enum module_state</c> (<c>include/linux/module.h</c>).</summary>
public enum ModuleState
{
    /// <summary>In use.</summary>
    Live = 0,

    /// <summary>Loaded, and running its initialization.</summary>
    Coming = 1,

    /// <summary>Being unloaded.</summary>
    Going = 2,

    /// <summary>Being loaded; its sections may not be there yet.</summary>
    Unformed = 3,
}
