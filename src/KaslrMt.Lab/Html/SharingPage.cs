using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Sharing;

namespace KaslrMt.Lab.Html;

/// <summary><c>--html</c> and <c>--force</c> of <c>kaslrmt-lab sharing</c>.</summary>
internal sealed class SharingPage : ISharingPage
{
    private readonly Option<string?> _file = new Option<string?>("--html")
    {
        Description = "Also write the comparison as a page with charts, as 'kaslrmt-lab report' does",
        HelpName = "FILE",
    }.NotEmpty();

    private readonly Option<bool> _force = ReportFile.Force();

    /// <inheritdoc/>
    public void AddTo(Command command)
    {
        command.Options.Add(_file);
        command.Options.Add(_force);
    }

    /// <inheritdoc/>
    public void Check(ParseResult parsed)
    {
        if (parsed.GetValue(_file) is { } page)
        {
            ReportFile.Check(page, parsed.GetValue(_force));
        }
    }

    /// <inheritdoc/>
    public void Write(ParseResult parsed, SharingReport report)
    {
        if (parsed.GetValue(_file) is { } page)
        {
            ReportFile.Write(page, parsed.GetValue(_force), [report]);
        }
    }
}
