using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt store</c>: the tenant table's own state.</summary>
internal static class StoreCommand
{
    public static Command Create() => new("store", "Check the tenant table's store, or copy it") { Check(), Backup() };

    private static Command Check()
    {
        var scrub = new Option<bool>("--scrub") { Description = "Also remove what purged keys left behind, as far as the store allows" };
        Option<bool> json = CommonOptions.Json();
        Option<string?> store = StoreOption.Create();
        var command = new Command("check", "Check the store, every sealed key, and the recorded history; exit code 1 if something is wrong") { scrub, store, json };
        command.SetAction(async (parsed, cancel) =>
        {
            await using TenantTable table = await OpenTable
                .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancel).ConfigureAwait(false);
            if (parsed.GetValue(scrub))
            {
                await table.Store.ScrubAsync(cancel).ConfigureAwait(false);
            }

            IReadOnlyList<string> problems = await table.CheckAsync(cancel).ConfigureAwait(false);
            var report = new StoreReport(table.Store.Location, problems.Count == 0, parsed.GetValue(scrub), problems);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.StoreReport, Print);
            return report.Sound ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt store check", "kaslrmt store check --scrub --store etcd://10.0.0.1:2379/kaslrmt");
    }

    private static Command Backup()
    {
        var file = new Argument<string>("FILE") { Description = "A new file, which gets mode 0600" };
        file.NotEmpty();
        Option<string?> store = StoreOption.Create();
        var command = new Command("backup", "Write a consistent copy of an SQLite store while it is in use; etcd has snapshots of its own") { file, store };
        command.SetAction(async (parsed, cancel) =>
        {
            await using TenantTable table = await OpenTable
                .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancel).ConfigureAwait(false);
            await table.Store.BackupAsync(Path.GetFullPath(parsed.GetRequiredValue(file)), cancel).ConfigureAwait(false);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt store backup /backup/tenants.db");
    }

    private static void Print(TextWriter output, StoreReport report)
    {
        output.WriteLine($"{Printable.Of(report.Location)}: {(report.Sound ? "sound" : "NOT SOUND")}{(report.Scrubbed ? ", scrubbed" : "")}");
        foreach (string problem in report.Problems)
        {
            output.WriteLine($"  {Printable.Of(problem, 400)}");
        }
    }
}
