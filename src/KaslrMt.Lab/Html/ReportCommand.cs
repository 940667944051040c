using System.CommandLine;
using KaslrMt.Cli;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Lab.Results;

namespace KaslrMt.Lab.Html;

/// <summary><c>kaslrmt-lab report</c>: results of experiments and comparisons as one page.</summary>
internal static class ReportCommand
{
    // A page of more is read by nobody.
    private const int MostSources = 16;

    public static Command Create()
    {
        var sources = new Argument<string[]>("SOURCE")
        {
            Description = "The folder of an experiment, or a file with what it or 'sharing' printed with --json",
            Arity = new ArgumentArity(1, MostSources),
        };
        sources.NotEmpty();
        Option<string> output = new Option<string>("--output", "-o")
        {
            Description = "The page to write, mode 0600",
            HelpName = "FILE",
            DefaultValueFactory = _ => "report.html",
        }.NotEmpty();
        Option<bool> force = ReportFile.Force();
        var command = new Command(
            "report",
            "Write results as one HTML page that needs nothing else: tables, charts beside the paper's figures, and a picture of the address space")
        {
            sources, output, force,
        };
        command.SetAction(parsed =>
        {
            string path = parsed.GetRequiredValue(output);
            ReportFile.Check(path, parsed.GetValue(force));
            object[] results = [.. parsed.GetRequiredValue(sources).Select(ResultsFile.Read)];
            ReportFile.Write(path, parsed.GetValue(force), results);
            return ExitCode.Success;
        });
        return command.WithExamples(
            "kaslrmt-lab report results-curve results-regions", "kaslrmt sharing --all --json > sharing.json && kaslrmt-lab report sharing.json -o sharing.html", "kaslrmt-lab report results results-modules -o evaluation.html --force");
    }
}
