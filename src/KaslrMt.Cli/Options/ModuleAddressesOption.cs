using System.CommandLine;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;

namespace KaslrMt.Cli.Options;

/// <summary><c>--module-addresses</c>, shared by <c>image</c> and <c>run</c>.</summary>
internal static class ModuleAddressesOption
{
    private const string ByOrder = "by-order";
    private const string ByName = "by-name";

    /// <summary>The option.</summary>
    public static Option<string> Create() => new("--module-addresses")
    {
        Description = "Where the guest's kernel puts modules: by-order (as it comes: by the order of loading), or by-name (a tenant's VMs have the same "
            + "module at the same address, in whatever order modules are loaded; kernels 5.10 to 7.3)",
        HelpName = "HOW",
        DefaultValueFactory = _ => ByOrder,
    };

    /// <summary>What was given.</summary>
    /// <exception cref="KaslrMtException">KMT9001: it is unknown.</exception>
    public static ModuleAddresses Parse(string text) => text switch
    {
        ByOrder => ModuleAddresses.ByOrder,
        ByName => ModuleAddresses.ByName,
        _ => throw new KaslrMtException(CommandErrors.Usage, $"--module-addresses '{Printable.Of(text, 40)}' is unknown", "give by-order or by-name"),
    };

    /// <summary>The text that stands for it.</summary>
    public static string Text(ModuleAddresses modules) => modules == ModuleAddresses.ByName ? ByName : ByOrder;
}
