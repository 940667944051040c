using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;

namespace KaslrMt.Cli.Guests;

/// <summary><c>kaslrmt modules</c>: a guest's modules, or two guests' beside one another.</summary>
internal static class ModulesCommand
{
    public static Command Create()
    {
        var names = new Argument<string[]>("GUEST")
        {
            Description = "One or two VMs, as 'kaslrmt ps' lists them; or pid:N (anybody's QEMU), core:FILE, ram:FILE",
            Arity = new ArgumentArity(1, 2),
        };
        names.NotEmpty();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("modules", "List a guest's kernel modules in load order, read from its memory; of two guests, which lie at the same address") { names, json };
        command.SetAction(async (parsed, cancellation) =>
        {
            var guests = new List<(string Label, string Release, GuestModules Modules)>();
            foreach (string name in parsed.GetRequiredValue(names))
            {
                GuestSource source = await GuestSource.OpenAsync(GuestReference.Parse(name), parsed.InvocationConfiguration.Error, cancellation).ConfigureAwait(false);
                await using (source.ConfigureAwait(false))
                {
                    guests.Add((source.Label, source.Kernel.Release, GuestModules.Read(source.Kernel)));
                }
            }

            ModulesReport report = ModulesReport.Of(guests);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.ModulesReport, Print);
            return report.IsComplete ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt modules web1", "kaslrmt modules web1 web2", "kaslrmt modules web1 pid:4711 --json");
    }

    private static void Print(TextWriter output, ModulesReport report)
    {
        if (report.Comparison is { } comparison)
        {
            Print(output, report.Guests[0].Name, report.Guests[1].Name, comparison);
        }
        else
        {
            Print(output, report.Guests[0]);
        }

        foreach (ModulesReport.GuestModuleList guest in report.Guests.Where(guest => guest.Problem is not null))
        {
            output.WriteLine($"{guest.Name}: INCOMPLETE: {guest.Problem}");
        }
    }

    private static void Print(TextWriter output, ModulesReport.GuestModuleList guest)
    {
        Table table = Report.Table(">#", "module", "text", ">size", "state", "taints", "~areas");
        foreach (ModulesReport.LoadedModule module in guest.Modules)
        {
            IEnumerable<string> areas = module.Areas.Select(area => $"{area.Section} {Size(area.Size)}");
            table.Row(Number(module.Position), module.Name, module.Address ?? "-", Size(module.Size), module.State, module.Taints, string.Join(", ", areas));
        }

        Report.Print(output, table);
        output.WriteLine($"{guest.Name}: {Number(guest.Modules.Count)} modules, {Size((ulong)guest.Modules.Sum(module => (long)module.Size))}, {guest.Release}");
    }

    private static void Print(TextWriter output, string first, string second, ModulesReport.Compared comparison)
    {
        Table table = Report.Table("module", ">#", first, ">#", second, "");
        foreach (ModulesReport.ComparedModule module in comparison.Modules)
        {
            string verdict = module.FirstPosition is null || module.SecondPosition is null ? "" : module.SameAddress ? "same" : "differs";
            table.Row(
                module.Name, Number(module.FirstPosition), module.FirstAddress ?? "-", Number(module.SecondPosition), module.SecondAddress ?? "-", verdict);
        }

        Report.Print(output, table);
        string order = comparison.SameOrder ? "loaded in the same order" : $"the load order differs from {comparison.FirstDifference} on";
        output.WriteLine($"{Number(comparison.Common)} modules in both, {Number(comparison.SameAddress)} of them at the same address; {order}");
    }

    private static string Number(int? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "-";

    private static string Size(ulong bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.#} KiB");
}
