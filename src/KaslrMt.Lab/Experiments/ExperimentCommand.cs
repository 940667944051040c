using System.CommandLine;
using KaslrMt.Cli.Commands;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;
using KaslrMt.Cli.Tables;
using KaslrMt.Cli.Vms;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Html;
using KaslrMt.Lab.Results;
using KaslrMt.Layout;
using KaslrMt.Sharing;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Lab.Experiments;

/// <summary><c>kaslrmt-lab experiment</c>: the paper's measurements, on today's kernels.</summary>
internal static class ExperimentCommand
{
    public static Command Create() => new("experiment", "Repeat the paper's measurements with real VMs on this machine")
    {
        RegionsCommand.Create(), CurveCommand.Create(), Modules.ModulesCommand.Create(),
    };
}
