using KaslrMt.Cli.Output;
using System.CommandLine;
using System.Globalization;
using System.Text;
using KaslrMt.Cli.Sharing;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Experiments.Modules;
using KaslrMt.Lab.Html.Sections;

namespace KaslrMt.Lab.Html;

/// <summary>Writes results as a page.</summary>
internal static class ReportFile
{
    private const string Title = "Kernel layouts and shared memory";
    private const string Lead =
        "What virtual machines of one host share, by who chooses their kernels' layout: nobody, each kernel for itself (stock KASLR), or the host for each tenant (KASLR\u2011MT). "
        + "Equal pages are those that memory deduplication can hold once.";

    private const string Methods =
        "A page is 4 KiB of a guest's RAM, read from outside while the guest stands still or runs. Redundant: pages less distinct contents, what perfect merging saves. "
        + "Equal by content: pages whose content every guest has in the same class. The paper: F. Vañó-García, H. Marco-Gisbert, KASLR-MT: Kernel Address Space Layout Randomization for Multi-Tenant Cloud Systems, JPDC 2020.";

    /// <summary><c>--force</c>.</summary>
    public static Option<bool> Force() => new("--force") { Description = "Replace the page where it exists" };

    /// <summary>Says early that a page would not be written.</summary>
    /// <exception cref="KaslrMtException">KMT9020 when the file exists and is not to be replaced; KMT2601 when it cannot be written.</exception>
    public static void Check(string path, bool replace)
    {
        if (!replace && (File.Exists(path) || Directory.Exists(path)))
        {
            throw Exists(path);
        }

        WholeFile.Create(path).Dispose();
    }

    /// <summary>Writes a page of results, in the order given, and the picture of the address space behind them.</summary>
    /// <exception cref="KaslrMtException">KMT9020; KMT2601, KMT2602.</exception>
    public static void Write(string path, bool replace, IReadOnlyList<object> results)
    {
        byte[] page = Encoding.UTF8.GetBytes(Page(results));
        using WholeFile file = WholeFile.Create(path);
        file.Write(page, 0);
        if (replace)
        {
            file.Commit();
        }
        else if (!file.TryCommitNew())
        {
            throw Exists(path);
        }
    }

    /// <summary>The page.</summary>
    internal static string Page(IReadOnlyList<object> results)
    {
        var page = new HtmlPage();
        foreach (object result in results)
        {
            Add(page, result);
        }

        AddressSpaceSection.Add(page);
        return page.ToHtml(Title, Lead, string.Create(CultureInfo.InvariantCulture, $"Made by kaslrmt {VersionLine.Version}. {Methods}"));
    }

    private static void Add(HtmlPage page, object result)
    {
        switch (result)
        {
            case CurveReport curve:
                CurveSection.Add(page, curve);
                break;
            case RegionsReport regions:
                RegionsSection.Add(page, regions);
                break;
            case ModuleReport modules:
                ModulesSection.Add(page, modules);
                break;
            case SharingReport sharing:
                SharingSection.Add(page, sharing);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(result));
        }
    }

    private static KaslrMtException Exists(string path) =>
        new(LabErrors.ReportExists, $"{Printable.Of(path, 200)} exists already", "choose another name, or replace it with --force");
}
