using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt layout</c>: the six bases a VM would get.</summary>
internal static class LayoutCommand
{
    public static Command Create()
    {
        var options = new LayoutOptions(makesImage: false);
        Option<bool> json = CommonOptions.Json();
        var command = new Command("layout", "Show the six bases a VM would get, who shares each, and how random it is");
        options.AddTo(command);
        command.Options.Add(json);
        command.SetAction(parsed =>
        {
            using LayoutRequest request = options.Read(parsed);
            using KernelImage kernel = KernelImage.Open(options.Kernel(parsed));
            using KernelLayout layout = request.Plan(kernel.Geometry);
            LayoutReport report = LayoutReport.Of(layout, kernel.Geometry, request.MemoryMap);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.LayoutReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples(
            "kaslrmt layout --kernel /boot/vmlinuz-6.1.0-56-cloud-amd64 --memory 2G --tenant-key-file acme.key",
            "kaslrmt layout --kernel vmlinuz --memory 512M --policy 000000 --json");
    }

    private static void Print(TextWriter output, LayoutReport report)
    {
        Table table = Report.Table("region", "scope", "base", ">slots", ">bits", ">stock bits");
        foreach (LayoutReport.RegionRow region in report.Regions)
        {
            table.Row(region.Name, region.Scope, region.Base, Number(region.Slots), Bits(region.EntropyBits), Bits(region.StockEntropyBits));
        }

        output.WriteLine(report.Link ? "nokaslr: the layout the kernel was linked for" : $"policy {report.Policy}");
        output.WriteLine();
        Report.Print(output, table);
        output.WriteLine();
        output.WriteLine(
            $"physmap, vmalloc and vmemmap together: {Bits(report.Entropy.JointBits)} bits (stock KASLR: {Bits(report.Entropy.StockJointBits)})");
    }

    private static string Number(ulong value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Bits(double value) => value.ToString("F1", CultureInfo.InvariantCulture);
}
