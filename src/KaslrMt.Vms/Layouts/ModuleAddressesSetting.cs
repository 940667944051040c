using KaslrMt.Kernels;

namespace KaslrMt.Vms;

/// <summary>How a guest's kernel places modules, as users write it (<c>--module-addresses</c>).</summary>
internal static class ModuleAddressesSetting
{
    /// <summary>The text that stands for the order of loading.</summary>
    public const string ByOrder = "by-order";

    private const string ByName = "by-name";

    /// <summary>What was given.</summary>
    /// <exception cref="KaslrMtException">KMT9001: it is unknown.</exception>
    public static ModuleAddresses Parse(string text) => text switch
    {
        ByOrder => ModuleAddresses.ByOrder,
        ByName => ModuleAddresses.ByName,
        _ => throw new KaslrMtException(CoreErrors.Usage, $"--module-addresses '{Printable.Of(text, 40)}' is unknown", "give by-order or by-name"),
    };

    /// <summary>The text that stands for it.</summary>
    public static string Text(ModuleAddresses modules) => modules == ModuleAddresses.ByName ? ByName : ByOrder;
}
