using System.Diagnostics;
using System.IO.Compression;
using System.Xml.Linq;

namespace KaslrMt.Vms.Tests;

/// <summary>Packing the solution gives the eight libraries as packages that say what they are, and nothing else.</summary>
public sealed class PackageTests : IDisposable
{
    private static readonly string[] Libraries = ["Core", "Guests", "Hypervisors", "Kernels", "Layout", "Sharing", "Tenants", "Vms"];
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Each_library_is_a_package_and_no_program_or_test_is()
    {
        await PackAsync();
        string[] packages = [.. Directory.EnumerateFiles(_scratch.Folder, "*.nupkg").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        Assert.Equal(Libraries.Select(name => $"KaslrMt.{name}."), packages.Select(name => name[..(name.IndexOf('.', "KaslrMt.".Length) + 1)]));
        HashSet<string> descriptions = [];
        foreach (string package in packages)
        {
            using ZipArchive archive = ZipFile.OpenRead(_scratch.At(package));
            string id = string.Join('.', package.Split('.')[..2]);
            Assert.NotNull(archive.GetEntry($"lib/net10.0/{id}.dll"));
            Assert.NotNull(archive.GetEntry($"lib/net10.0/{id}.xml"));
            Assert.NotNull(archive.GetEntry("libraries.md"));
            XElement metadata = await MetadataAsync(archive.GetEntry($"{id}.nuspec")!);
            Assert.Equal("Apache-2.0", Value(metadata, "license"));
            Assert.Equal("libraries.md", Value(metadata, "readme"));
            Assert.Equal("The kaslrmt authors", Value(metadata, "authors"));
            Assert.True(descriptions.Add(Value(metadata, "description")!), $"{id} has another package's description");
            Assert.InRange(Value(metadata, "description")!.Length, 40, 200);

            // The sources may move: a package names no place of theirs.
            Assert.Null(metadata.Elements().FirstOrDefault(element => element.Name.LocalName == "repository")?.Attribute("url"));
            Assert.Null(Value(metadata, "projectUrl"));
            Assert.DoesNotContain(metadata.Descendants(), element => element.Attribute("id")?.Value == "Microsoft.CodeAnalysis.PublicApiAnalyzers");
        }
    }

    private async Task PackAsync()
    {
        string folder = AppContext.BaseDirectory;
        string configuration = folder.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug";
        while (!File.Exists(Path.Combine(folder, "kaslrmt.slnx")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the tests do not lie in the sources");
        }

        ProcessStartInfo start = new("dotnet", ["pack", "kaslrmt.slnx", "-c", configuration, "--no-build", "-o", _scratch.Folder, "--nologo", "-v", "quiet", "-nodeReuse:false"])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
        };
        using Process pack = Process.Start(start)!;
        string output = await pack.StandardOutput.ReadToEndAsync().WaitAsync(Limit);
        await pack.WaitForExitAsync();
        Assert.True(pack.ExitCode == 0, output);
    }

    private static async Task<XElement> MetadataAsync(ZipArchiveEntry entry)
    {
        await using Stream stream = await entry.OpenAsync();
        XDocument document = await XDocument.LoadAsync(stream, LoadOptions.None, CancellationToken.None);
        return document.Root!.Elements().Single(element => element.Name.LocalName == "metadata");
    }

    private static string? Value(XElement metadata, string name) => metadata.Elements().FirstOrDefault(element => element.Name.LocalName == name)?.Value;
}
