using KaslrMt.Cli;
using KaslrMt.Cli.Sharing;
using KaslrMt.Lab.Demo;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Html;

namespace KaslrMt.Lab;

/// <summary>The commands of <c>kaslrmt-lab</c>.</summary>
internal static class LabCommands
{
    private const string Description =
        "Experiments with kernel layouts and shared memory, on real kernels in real VMs: the demonstration, the paper's measurements, and reports with charts";

    /// <summary>Makes the commands.</summary>
    /// <param name="qemuArguments">Not used: no command of this program takes QEMU's arguments.</param>
    public static ProgramCommand Create(string[] qemuArguments) => new("kaslrmt-lab", Description)
    {
        DemoCommand.Create(),
        ExperimentCommand.Create(),
        SharingCommand.Create(new SharingPage()),
        ReportCommand.Create(),
    };
}
