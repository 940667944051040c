using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Tables;

/// <summary><c>--store</c>, and what stands in for it: environment, configuration file, default. Reading it opens no store.</summary>
internal static class StoreOption
{
    /// <summary>The option.</summary>
    public static Option<string?> Create() => new Option<string?>("--store")
    {
        Description = $"The tenant table: sqlite:PATH or etcd://H1:2379,H2:2379/PREFIX; default: ${StoreSettings.Variable}, the configuration file, this host's own",
        HelpName = "WHERE",
    }.NotEmpty();

    /// <summary>The settings that a call asks for: option, else environment, else file, else default.</summary>
    /// <exception cref="KaslrMtException">KMT4001: the location is none; KMT9014: the configuration file is wrong.</exception>
    public static TableSettings Read(ParseResult parsed, Option<string?> option) => StoreSettings.Read(parsed.GetValue(option));
}
