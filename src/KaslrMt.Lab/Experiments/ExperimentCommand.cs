using System.CommandLine;

namespace KaslrMt.Lab.Experiments;

/// <summary><c>kaslrmt-lab experiment</c>: the paper's measurements, on today's kernels.</summary>
internal static class ExperimentCommand
{
    public static Command Create() => new("experiment", "Repeat the paper's measurements with real VMs on this machine")
    {
        RegionsCommand.Create(), CurveCommand.Create(), Modules.ModulesCommand.Create(),
    };
}
