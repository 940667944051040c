using System.Globalization;
using KaslrMt.Cli.Sharing;
using KaslrMt.Guests;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Experiments.Modules;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Results;

/// <summary>Whether results fit together: what a page of them relies on.</summary>
internal static class ResultsShape
{
    // More of anything than any experiment makes; a page of more would be no use.
    private const int Most = 4096;
    private const int MostModes = 64;

    // Of the tables of modules, a field for each name and boot: 100 boots of six options with 70 modules make 42,000.
    private const long MostFields = 1 << 18;

    /// <summary>The results, when they do.</summary>
    /// <exception cref="KaslrMtException">KMT9019 when they do not.</exception>
    public static object Find(string file, object results)
    {
        string? fault = results switch
        {
            RegionsReport regions => Fault(regions),
            CurveReport curve => Fault(curve),
            ModuleReport modules => Fault(modules),
            SharingReport sharing => Fault(sharing),
            _ => "is no results of this program",
        };
        return fault is null ? results : throw ResultsFile.Bad(file, fault);
    }

    /// <summary>A module's address.</summary>
    public static bool TryAddress(string text, out ulong address)
    {
        address = 0;
        return text.StartsWith("0x", StringComparison.Ordinal) && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out address);
    }

    /// <summary>What is wrong with a mode by itself; null when nothing is.</summary>
    public static string? Fault(CurveReport.Mode mode) => mode switch
    {
        _ when mode.Points.Count is 0 or > Most || mode.Classes.Count > Most => "is damaged: a mode has no points, or too many",
        _ when !Enumerable.Range(1, mode.Points.Count).SequenceEqual(mode.Points.Select(point => point.Guests)) => "is damaged: a mode's points are not those of 1, 2, … guests",
        _ when mode.Points.Any(point => !IsShare(point.KernelRedundantShare)) => "is damaged: a share is not from 0 to 1",
        _ when mode.Classes.Append(mode.KernelPages).Append(mode.AllPages).Any(IsNoRow) => "is damaged: a count is none",
        { Ksm: { } ksm } when ksm.HeldPages < 0 || ksm.ResidentBefore < 0 => "is damaged: a count is none",
        { Cost: { } cost } when cost.Vms <= 0 || cost.Total < 0 => "is damaged: a count is none",
        _ => null,
    };

    private static string? Fault(RegionsReport report)
    {
        string[] classes = [.. SharingTable.KernelClasses.Select(pageClass => pageClass.Name())];
        return report switch
        {
            { Policies.Count: 0 } => "holds no policy that was measured",
            _ when report.Policies.Count > Policy.All.Length => "is damaged: it holds more than 64 policies",
            _ when report.Policies.Any(row => !Policy.TryParse(row.Policy, out _)) => "is damaged: a policy is none",
            _ when report.Policies.Select(row => row.Policy).Distinct().Count() < report.Policies.Count => "is damaged: it holds a policy twice",
            _ when report.Policies.Any(row => !row.Classes.Select(equal => equal.Name).SequenceEqual(classes)) => "is damaged: a policy does not have the six classes",
            _ when report.Policies.SelectMany(row => row.Classes).Any(equal => !IsShare(equal.ByContent) || !IsShare(equal.ByPlace)) => "is damaged: a share is not from 0 to 1",
            _ when Cells(report).Any(cell => !IsShare(cell.Fixed) || !IsShare(cell.Random)) => "is damaged: a share is not from 0 to 1",
            _ when report.Paper.Any(row => !(IsShare(row.ByContent ?? 0) && IsShare(row.ByPlace ?? 0))) => "is damaged: a share is not from 0 to 1",
            _ when Math.Max(report.Paper.Count, Cells(report).Count()) > Most => "is damaged: it holds too much",
            _ => null,
        };
    }

    private static string? Fault(CurveReport report) => report switch
    {
        { Modes.Count: 0 } => "holds no mode that was measured",
        { Modes.Count: > MostModes } => "is damaged: it holds too much",
        _ when report.Modes.Select(mode => mode.Name).Distinct().Count() < report.Modes.Count => "is damaged: it holds a mode twice",
        _ when report.Modes.Select(Fault).FirstOrDefault(fault => fault is not null) is { } fault => fault,
        _ when report.Modes.Any(mode => !mode.Classes.Select(row => row.Name).SequenceEqual(report.Modes[0].Classes.Select(row => row.Name))) => "is damaged: modes have other classes than the first",
        _ when report.Paper.Count > Most || report.Paper.Any(paper => !IsShare(paper.Two) || !IsShare(paper.Thirty)) => "is damaged: a share is not from 0 to 1",
        _ => null,
    };

    private static string? Fault(ModuleReport report) => report switch
    {
        { Options.Count: 0 } => "holds no option that was measured",
        { Options.Count: > MostModes } => "is damaged: it holds too much",
        _ when report.Options.Any(option => option.Boots.Count is 0 or > 100 || option.Boots.Any(boot => boot.Count > Most)) => "is damaged: an option has no boots, or too many",
        _ when report.Options.Sum(Fields) > MostFields => "is damaged: it holds too much",
        _ when report.Options.SelectMany(option => option.Boots).SelectMany(boot => boot).Any(module => !TryAddress(module.Address, out _)) => "is damaged: a module's address is none",
        _ when report.Options.Any(option => !IsShare(option.EqualCode) || !IsShare(option.EqualData) || !IsShare(option.EqualText)) => "is damaged: a share is not from 0 to 1",
        _ => null,
    };

    private static string? Fault(SharingReport report) => report switch
    {
        { Guests.Count: 0 } => "holds no guest",
        _ when report.Guests.Count > Most || report.Classes.Count > Most => "is damaged: it holds too much",
        _ when report.Classes.Append(report.Kernel).Append(report.All).Any(IsNoRow) => "is damaged: a count is none",
        _ => null,
    };

    private static long Fields(ModuleReport.Outcome option) => option.Boots.SelectMany(boot => boot).DistinctBy(module => module.Name).LongCount() * option.Boots.Count;

    private static IEnumerable<RegionsReport.ImpactRow> Cells(RegionsReport report) => report.Impact.Concat(report.ImpactByPlace);

    private static bool IsNoRow(SharingReport.Row row) =>
        Math.Min(row.Pages, Math.Min(row.Distinct, Math.Min(row.WithinTenants, row.AcrossTenants))) < 0 || !IsShare(row.RedundantShare);

    private static bool IsShare(double share) => share is >= 0 and <= 1;
}
