using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Agents;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt migrate</c>: moves a running VM to another host.</summary>
internal static class MigrateCommand
{
    public static Command Create()
    {
        Argument<string> name = CommonOptions.VmName();
        var to = new Option<string>("--to") { Description = "Where 'kaslrmt receive' awaits it: HOST:PORT, or unix:PATH", HelpName = "WHERE", Required = true };
        to.NotEmpty();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("migrate", "Move a running, detached VM to another host of its tenant table in etcd, without stopping its guest") { name, to, json };
        command.SetAction(async (parsed, _) =>
        {
            TextWriter error = parsed.InvocationConfiguration.Error;
            var address = LinkAddress.Parse(parsed.GetRequiredValue(to), "--to");
            string vm = parsed.GetRequiredValue(name);
            using var signals = new OwnerSignals();
            using AgentClient agent = await DetachedVms.AgentOfAsync(vm, error, signals.StopRequested).ConfigureAwait(false);
            AnswerDone done = await agent.MigrateAsync(vm, new MigrateRequest(address.ToString()), error.WriteLine, signals.StopRequested).ConfigureAwait(false);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), done.Move!, ReportJson.Default.MoveReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt receive web1 --listen 10.0.0.2:7000   # on the other host, first", "kaslrmt migrate web1 --to 10.0.0.2:7000");
    }

    private static void Print(TextWriter output, MoveReport report) => output.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{report.Name}: runs on host {report.Host} now ({report.Bytes / 1048576.0:0.0} MiB sent, stood still for {report.DowntimeMilliseconds} ms)"));
}
