using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Tenants;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt tenant</c>: the tenants of the table.</summary>
internal static class TenantCommand
{
    public static Command Create() => new Command("tenant", "See and settle the tenants of the tenant table") { List(), Show(), Rotate(), Remove() }
        .WithExamples("kaslrmt tenant list", "kaslrmt tenant show acme");

    private static Argument<string> Tenant() => new Argument<string>("TENANT") { Description = "The tenant's name" }.NotEmpty();

    private static Command List()
    {
        Option<bool> json = CommonOptions.Json(), watch = Watching.Create();
        Option<string?> store = StoreOption.Create();
        var command = new Command("list", "List tenants, their keys' generations and how many VMs they have") { store, watch, json };
        command.SetAction((parsed, cancellationToken) => Watching.RunAsync(
            parsed.InvocationConfiguration.Output,
            parsed.GetValue(watch),
            async () =>
            {
                await using TenantTable table = await CommandTable
                    .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancellationToken).ConfigureAwait(false);
                List<TenantReport> tenants = [];
                await foreach (TenantRecord tenant in table.Store.TenantsAsync(cancellationToken).ConfigureAwait(false))
                {
                    tenants.Add(TenantReport.Of(tenant));
                }

                Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), tenants, ReportJson.Default.IReadOnlyListTenantReport, Print);
            },
            cancellationToken));
        return command.WithExamples("kaslrmt tenant list", "kaslrmt tenant list --store sqlite:/var/lib/kaslrmt/tenants.db --json");
    }

    private static Command Show()
    {
        Argument<string> name = Tenant();
        Option<bool> json = CommonOptions.Json();
        Option<string?> store = StoreOption.Create();
        var command = new Command("show", "Show a tenant and its VMs on all hosts") { name, store, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string wanted = TableNames.Check(parsed.GetRequiredValue(name), "tenant");
            await using TenantTable table = await CommandTable
                .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancellationToken).ConfigureAwait(false);
            TenantRecord tenant = await table.Store.FindTenantAsync(wanted, cancellationToken).ConfigureAwait(false)
                ?? throw new KaslrMtException(TenantErrors.TenantUnknown, $"no tenant is named '{wanted}'", "see 'kaslrmt tenant list'");
            TenantReport report = TenantReport.Of(tenant, await TableListing.VmsAsync(table, wanted, cancellationToken).ConfigureAwait(false));
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.TenantReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt tenant show acme", "kaslrmt tenant show acme --json");
    }

    private static Command Rotate()
    {
        Option<bool> json = CommonOptions.Json();
        return Change(
            new Command("rotate", "Give a tenant a new key: with the first VM that starts after its last has stopped") { json },
            json,
            (table, tenant, cancellationToken) => table.RotateAsync(tenant, cancellationToken),
            outcome => outcome.Tenant is { HasKey: true, Vms: var vms }
                ? string.Create(CultureInfo.InvariantCulture, $"{outcome.Tenant.Name}: {vms} VM(s) run on with the key they have; the next start after the last stop makes a new one")
                : $"{outcome.Tenant?.Name}: it has no key; its next start makes a new one").WithExamples("kaslrmt tenant rotate acme");
    }

    private static Command Remove()
    {
        Option<bool> json = CommonOptions.Json();
        return Change(
            new Command("remove", "Forget a tenant that has no VM") { json },
            json,
            (table, tenant, cancellationToken) => table.RemoveTenantAsync(tenant, cancellationToken),
            _ => "removed").WithExamples("kaslrmt tenant remove acme");
    }

    private static Command Change(
        Command command, Option<bool> json, Func<TenantTable, string, CancellationToken, Task<Outcome>> change, Func<Outcome, string> explain)
    {
        Argument<string> name = Tenant();
        Option<string?> store = StoreOption.Create();
        command.Arguments.Add(name);
        command.Options.Add(store);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string wanted = TableNames.Check(parsed.GetRequiredValue(name), "tenant");
            await using TenantTable table = await CommandTable
                .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancellationToken).ConfigureAwait(false);
            using Outcome outcome = await change(table, wanted, cancellationToken).ConfigureAwait(false);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (!parsed.GetValue(json))
            {
                await output.WriteLineAsync(explain(outcome)).ConfigureAwait(false);
            }
            else if (outcome.Tenant is not null)
            {
                Report.Json(output, TenantReport.Of(outcome.Tenant), ReportJson.Default.TenantReport);
            }
            else
            {
                Report.Json(output, new RemovalReport(wanted, Removed: true), ReportJson.Default.RemovalReport);
            }

            return ExitCode.Success;
        });
        return command;
    }

    internal static void Print(TextWriter output, IReadOnlyList<TenantReport> tenants)
    {
        if (tenants.Count == 0)
        {
            output.WriteLine("no tenant");
            return;
        }

        Table table = Report.Table("~tenant", ">VMs", ">gen", "key", "rotation", ">key's age");
        foreach (TenantReport tenant in tenants)
        {
            table.Row(
                tenant.Name,
                tenant.Vms.ToString(CultureInfo.InvariantCulture),
                tenant.Generation.ToString(CultureInfo.InvariantCulture),
                tenant.KeyId ?? "-",
                tenant.RotationPending ? "pending" : "-",
                tenant.KeyCreated is { } made ? Age.Of(made) : "-");
        }

        Report.Print(output, table);
    }

    private static void Print(TextWriter output, TenantReport tenant)
    {
        Report.Facts(
            output,
            ("tenant", tenant.Name),
            ("key", tenant.KeyId is null ? "none: no VM is alive" : $"{tenant.KeyId} (its name, not the key)"),
            ("generation", tenant.Generation.ToString(CultureInfo.InvariantCulture)),
            ("rotation", tenant.RotationPending ? "pending: when the last VM has stopped" : ""),
            ("known since", tenant.Created.ToString("u", CultureInfo.InvariantCulture)),
            ("key since", tenant.KeyCreated?.ToString("u", CultureInfo.InvariantCulture) ?? ""),
            ("VMs", tenant.Vms.ToString(CultureInfo.InvariantCulture)));
        if (tenant.Running is { Count: > 0 } vms)
        {
            output.WriteLine();
            TableListing.Print(output, vms);
        }
    }
}
