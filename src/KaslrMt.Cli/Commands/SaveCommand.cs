using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Agents;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt save</c>: a running VM into a file.</summary>
internal static class SaveCommand
{
    public static Command Create()
    {
        Argument<string> name = CommonOptions.VmName();
        var output = new Option<string?>("--output", "-o")
        {
            Description = "A new file, which gets mode 0600: it holds the guest's memory. Default: saved/NAME in the state directory",
            HelpName = "FILE",
        };
        output.NotEmpty();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("save", "Save a running, detached VM to a file and end its QEMU; it counts as alive, so its tenant's key stays") { name, output, json };
        command.SetAction(async (parsed, _) =>
        {
            TextWriter error = parsed.InvocationConfiguration.Error;
            string vm = parsed.GetRequiredValue(name);
            using var signals = new OwnerSignals();
            using AgentClient agent = await DetachedVms.AgentOfAsync(vm, error, signals.StopRequested).ConfigureAwait(false);
            string file = Prepare(parsed.GetValue(output), vm);
            AnswerDone done = await agent.SaveAsync(vm, new SaveRequest(file), error.WriteLine, signals.StopRequested).ConfigureAwait(false);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), done.Move!, ReportJson.Default.MoveReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt save web1", "kaslrmt save web1 --output /srv/shared/web1.saved");
    }

    private static string Prepare(string? given, string name)
    {
        string file = Path.GetFullPath(given ?? MigrationHeader.DefaultFile(StateDirectory.Ensure(StateDirectory.Find()), name));
        if (given is null)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        return Path.Exists(file)
            ? throw new KaslrMtException(CoreErrors.Usage, $"{file} exists, and may be a saved VM", "give --output a new file, or remove that one")
            : file;
    }

    private static void Print(TextWriter output, MoveReport report) => output.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"{report.Name}: saved to {Printable.Of(report.File!, 500)} ({report.Bytes / 1048576.0:0.0} MiB); 'kaslrmt restore {report.Name}' starts it again"));
}
