using System.CommandLine;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Options;

/// <summary><c>--module-addresses</c>, shared by <c>image</c> and <c>run</c>.</summary>
internal static class ModuleAddressesOption
{
    /// <summary>The option.</summary>
    public static Option<string> Create() => new("--module-addresses")
    {
        Description = "Where the guest's kernel puts modules: by-order (as it comes: by the order of loading), or by-name (a tenant's VMs have the same "
            + "module at the same address, in whatever order modules are loaded; kernels 5.10 to 7.3)",
        HelpName = "HOW",
        DefaultValueFactory = _ => ModuleAddressesSetting.ByOrder,
    };
}
