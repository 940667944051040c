using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Tenants;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt store</c>: the tenant table's own state.</summary>
internal static class StoreCommand
{
    public static Command Create() => new Command("store", "Check, copy or re-encrypt the tenant table's store") { Check(), Backup(), Rekey() }
        .WithExamples("kaslrmt store check", "kaslrmt store backup tenants-copy.db");

    private static Command Check()
    {
        var scrub = new Option<bool>("--scrub") { Description = "Also remove what purged keys left behind, as far as the store allows" };
        Option<bool> json = CommonOptions.Json();
        Option<string?> store = StoreOption.Create();
        var command = new Command("check", "Check the store, every sealed key, and the recorded history; exit code 1 if something is wrong") { scrub, store, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await using TenantTable table = await CommandTable
                .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancellationToken, patiently: true).ConfigureAwait(false);
            if (parsed.GetValue(scrub))
            {
                await table.Store.ScrubAsync(cancellationToken).ConfigureAwait(false);
            }

            IReadOnlyList<string> problems = await table.CheckAsync(cancellationToken).ConfigureAwait(false);
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
        Option<bool> json = CommonOptions.Json();
        var command = new Command("backup", "Write a consistent copy of an SQLite store while it is in use; etcd has snapshots of its own") { file, store, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await using TenantTable table = await CommandTable
                .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancellationToken, patiently: true).ConfigureAwait(false);
            string copy = Path.GetFullPath(parsed.GetRequiredValue(file));
            await table.Store.BackupAsync(copy, cancellationToken).ConfigureAwait(false);
            var report = new BackupReport(table.Store.Location, copy, new FileInfo(copy).Length);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.BackupReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt store backup /backup/tenants.db", "kaslrmt store backup /backup/tenants.db --json");
    }

    private static Command Rekey()
    {
        var add = new Option<bool>("--add-key")
        {
            Description = "Only add a key-encryption key of the next version to this host's file; other hosts need it before anything is sealed with it",
        };
        Option<string?> store = StoreOption.Create();
        var command = new Command("rekey", "Seal every tenant's key anew with the newest key-encryption key, while VMs start and stop") { add, store };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            TableSettings settings = StoreOption.Read(parsed, store);
            if (parsed.GetValue(add))
            {
                KeyRingFile file = KeyRingFile.Find(settings.StateDirectory, settings.KeyFile);
                int version = file.AddKey();
                await output.WriteLineAsync(string.Create(
                    CultureInfo.InvariantCulture, $"{file.Path} has version {version}; copy it to the other hosts, then run 'kaslrmt store rekey'")).ConfigureAwait(false);
                return ExitCode.Success;
            }

            await using TenantTable table = await CommandTable.ForCommandAsync(settings, parsed.InvocationConfiguration.Error, cancellationToken, patiently: true).ConfigureAwait(false);
            long sealedAnew = await table.Store.RewrapAsync(Actor.Current(table.Host.Id), cancellationToken).ConfigureAwait(false);
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{sealedAnew} key(s) sealed anew; older versions may leave the file now")).ConfigureAwait(false);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt store rekey --add-key", "kaslrmt store rekey");
    }

    private static void Print(TextWriter output, BackupReport report) => output.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"{Printable.Of(report.Location)}: copied to {Printable.Of(report.File, 500)}, {report.Bytes} bytes"));

    private static void Print(TextWriter output, StoreReport report)
    {
        output.WriteLine($"{Printable.Of(report.Location)}: {(report.Sound ? "sound" : "NOT SOUND")}{(report.Scrubbed ? ", scrubbed" : "")}");
        foreach (string problem in report.Problems)
        {
            output.WriteLine($"  {Printable.Of(problem, 400)}");
        }
    }
}
