using System.Text.RegularExpressions;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>Only this project knows QEMU: another hypervisor needs no change anywhere else.</summary>
public sealed partial class SeamTests
{
    [Fact]
    public void No_other_project_names_QEMUs_types_or_sockets()
    {
        string root = Root();
        string[] found = [.. Directory.EnumerateFiles(Path.Combine(root, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(path => !Built().IsMatch(path) && !path.Contains("/KaslrMt.Hypervisors/", StringComparison.Ordinal))
            .SelectMany(path => Matches(path).Select(match => $"{Path.GetRelativePath(root, path)}: {match}"))];
        Assert.Empty(found);
        Assert.NotEmpty(Matches(Path.Combine(root, "src", "KaslrMt.Hypervisors", "Qemu", "QemuHypervisor.cs")));
    }

    [Fact]
    public void No_public_type_is_QEMUs() => Assert.DoesNotContain(
        typeof(IHypervisor).Assembly.GetExportedTypes(),
        type => type.Name.StartsWith("Qemu", StringComparison.Ordinal) || type.Name.StartsWith("Qmp", StringComparison.Ordinal));

    private static IEnumerable<string> Matches(string path) => Names().Matches(Comment().Replace(File.ReadAllText(path), "")).Select(match => match.Value);

    private static string Root()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "kaslrmt.slnx")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("the tests read the sources: run them inside the repository");
    }

    [GeneratedRegex(@"\b(Qmp|Qemu)\w*|\bMonitorSocket\b|\bOwnerSocket\b|qmp\.sock|owner\.sock")]
    private static partial Regex Names();

    [GeneratedRegex("//.*")]
    private static partial Regex Comment();

    [GeneratedRegex("/(bin|obj)/")]
    private static partial Regex Built();
}
