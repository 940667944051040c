using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt inspect</c>: a guest's address-space map, read from outside.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        Option<string?> kernel = new Option<string?>("--kernel") { Description = "The image it is said to run: another one is an error", HelpName = "FILE" }.NotEmpty();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("inspect", "Show what lies where in a guest kernel's address space, read from its memory");
        GuestOptions guest = new GuestOptions().AddTo(command);
        command.Options.Add(kernel);
        command.Options.Add(json);
        command.SetAction(async (parsed, cancellation) =>
        {
            KernelIdentity? image = parsed.GetValue(kernel) is { } file ? Identify(file) : null;
            await using GuestSource source = await guest.OpenAsync(parsed, cancellation).ConfigureAwait(false);
            GuestKernel found = source.FindKernel(image);
            IReadOnlyList<MapRegion> regions = AddressSpaceMap.Read(found);
            (PageCensus? census, string? problem) = Count(found);
            var inspection = new Inspection(source, found, regions, census, problem);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                Report.Json(output, Describe(inspection), ReportJson.Default.InspectReport);
            }
            else
            {
                Print(output, inspection);
            }

            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt inspect web1", "kaslrmt inspect --pid 4711 --pause", "kaslrmt inspect --core guest.core --json");
    }

    private static KernelIdentity Identify(string file)
    {
        using KernelInspection inspection = KernelInspection.Of(file);
        return KernelIdentity.Of(inspection);
    }

    private static InspectReport Describe(Inspection found) => new()
    {
        Guest = found.Source.Label,
        Release = found.Kernel.Release,
        Banner = found.Kernel.Banner,
        Memory = Bytes(found.Kernel),
        Missing = found.Source.Missing > 0 ? found.Source.Missing : null,
        Levels = found.Kernel.Tables.Levels,
        KernelPhysical = found.Kernel.PhysicalBase.ToString(),
        Regions = [.. found.Regions.Select(region => new InspectReport.InspectedRegion(
            region.Name,
            region.Start.ToString(),
            region.Last.ToString(),
            region.Size,
            region.Mapped,
            [.. region.Pages.Select(pages => new InspectReport.InspectedPages(pages.Access.ToString(), pages.Small, pages.Large, pages.Huge))]))],
        Pages = found.Census is null ? null : PageClassNames.All.ToDictionary(kind => kind.Name(), kind => found.Census[kind]),
        PagesProblem = found.Problem,
    };

    private static void Print(TextWriter output, Inspection found)
    {
        (GuestSource source, GuestKernel kernel, IReadOnlyList<MapRegion> regions, PageCensus? census, string? problem) = found;
        Report.Facts(
            output,
            ("guest", source.Label),
            ("kernel", kernel.Release.Length > 0 ? kernel.Release : "unknown release"),
            ("memory", Sizes.Of(Bytes(kernel)) + (source.Missing > 0 ? $", {Sizes.Of(source.Missing)} more are missing: partial" : "")),
            ("in RAM at", kernel.PhysicalBase.ToString()),
            ("page tables", string.Create(CultureInfo.InvariantCulture, $"{kernel.Tables.Levels} levels")));
        output.WriteLine();
        MapPicture.Draw(output, regions, Terminal.TakesUnicode);
        output.WriteLine();
        Table table = Report.Table("~region", "base", ">size", ">mapped", ">4K", ">2M", ">1G", "access");
        foreach (MapRegion region in regions.Where(region => region.Name != MapRegion.Hole || !region.Pages.IsEmpty))
        {
            if (region.Pages.IsEmpty)
            {
                table.Row(region.Name, region.Start.ToString(), Sizes.Of(region.Size), "", "", "", "", "");
            }

            string name = region.Name, start = region.Start.ToString(), size = Sizes.Of(region.Size);
            foreach (MappedPages pages in region.Pages)
            {
                table.Row(name, start, size, Sizes.Of(pages.Bytes), Count(pages.Small), Count(pages.Large), Count(pages.Huge), pages.Access.ToString());
                name = start = size = "";
            }
        }

        Report.Print(output, table);
        output.WriteLine();
        if (census is null)
        {
            output.WriteLine($"what the pages hold is not known: {problem}");
            return;
        }

        Table classes = Report.Table("pages", ">count", ">size");
        foreach (PageClass kind in PageClassNames.All)
        {
            classes.Row(kind.Name(), census[kind].ToString(CultureInfo.InvariantCulture), Sizes.Of((ulong)census[kind] * PageCensus.PageSize));
        }

        classes.Row("all", census.Total.ToString(CultureInfo.InvariantCulture), Sizes.Of((ulong)census.Total * PageCensus.PageSize));
        Report.Print(output, classes);
    }

    // A dump that is cut short, or a kernel without type information, still has a map.
    private static (PageCensus? Census, string? Problem) Count(GuestKernel kernel)
    {
        try
        {
            return (PageMap.Classify(kernel).Census, null);
        }
        catch (KaslrMtException error) when (error.Category is ErrorCategory.Guest or ErrorCategory.Image)
        {
            return (null, error.Message);
        }
    }

    private static ulong Bytes(GuestKernel kernel) => kernel.Memory.Ranges.Aggregate(0UL, (sum, range) => sum + range.Length);

    private static string Count(ulong pages) => pages == 0 ? "" : pages.ToString(CultureInfo.InvariantCulture);

    private sealed record Inspection(GuestSource Source, GuestKernel Kernel, IReadOnlyList<MapRegion> Regions, PageCensus? Census, string? Problem);
}
