using System.Globalization;
using System.Text.RegularExpressions;

namespace KaslrMt.Cli.Tests;

public sealed partial class ErrorListTests
{
    private static readonly string Repository = FindRepository();

    [Fact]
    public void Every_error_number_is_used_once_and_listed_with_its_category_and_exit_code()
    {
        Match[] codes = [.. Directory.GetFiles(Path.Combine(Repository, "src"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(file => Definition().Matches(File.ReadAllText(file)))];
        Assert.True(codes.Length > 90, $"only {codes.Length} error codes were found");
        Assert.Empty(codes.GroupBy(code => code.Groups[1].Value).Where(group => group.Count() > 1).Select(group => group.Key));

        string list = File.ReadAllText(Path.Combine(Repository, "docs", "errors.md"));
        Assert.All(codes, code =>
        {
            ErrorCategory category = Enum.Parse<ErrorCategory>(code.Groups[2].Value);
            string row = string.Create(
                CultureInfo.InvariantCulture, $"| KMT{code.Groups[1].Value} | {category.ToString().ToLowerInvariant()} | {ExitCode.Of(category)} | ");
            Assert.Contains(row, list, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void Nothing_is_listed_that_is_not_in_the_sources()
    {
        string sources = string.Concat(Directory.GetFiles(Path.Combine(Repository, "src"), "*Errors.cs", SearchOption.AllDirectories).Select(File.ReadAllText));
        string[] listed = [.. Listed().Matches(File.ReadAllText(Path.Combine(Repository, "docs", "errors.md"))).Select(match => match.Groups[1].Value)];
        Assert.NotEmpty(listed);
        Assert.All(listed, number => Assert.Contains($"new({number}, ErrorCategory.", sources, StringComparison.Ordinal));
    }

    [GeneratedRegex(@"new\((\d{4}), ErrorCategory\.(\w+)")]
    private static partial Regex Definition();

    [GeneratedRegex(@"(?m)^\| KMT(\d{4}) ")]
    private static partial Regex Listed();

    private static string FindRepository()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "kaslrmt.slnx")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("the repository's root is not above the tests");
    }
}
