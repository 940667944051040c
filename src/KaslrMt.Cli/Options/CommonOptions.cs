using System.CommandLine;

namespace KaslrMt.Cli.Options;

/// <summary>Options that several commands share.</summary>
internal static class CommonOptions
{
    /// <summary><c>--json</c>: the report for programs.</summary>
    public static Option<bool> Json() => new("--json") { Description = "Print JSON for programs" };

    /// <summary><c>--no-cache</c>: prepared kernels are neither taken from the cache nor put there.</summary>
    public static Option<bool> NoCache() => new("--no-cache") { Description = "Neither use nor fill the cache of prepared kernels" };

    /// <summary><c>NAME</c> of a VM.</summary>
    public static Argument<string> VmName() => new("NAME") { Description = "The VM's name, as 'kaslrmt ps' lists it" };
}
