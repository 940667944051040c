using System.CommandLine;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Options;

/// <summary><c>--free-pages</c> of <c>run</c>.</summary>
internal static class FreePagesOption
{
    /// <summary>The option.</summary>
    public static Option<string> Create() => new("--free-pages")
    {
        Description = "What the guest's free pages hold: kept (what they held last), or zeroed (its kernel clears what it frees, and all its memory at boot: "
            + "init_on_free=1; KSM merges zeros; kernels 5.3 and later)",
        HelpName = "HOW",
        DefaultValueFactory = _ => FreePagesSetting.Kept,
    };
}
