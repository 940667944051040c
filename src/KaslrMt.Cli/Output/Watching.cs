using System.CommandLine;

namespace KaslrMt.Cli.Output;

/// <summary><c>--watch</c>: the same report again and again, until Ctrl-C or until nobody reads it any longer.</summary>
internal static class Watching
{
    private const string ClearScreen = "\x1b[H\x1b[2J";

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    /// <summary>The option.</summary>
    public static Option<bool> Create() => new("--watch", "-w") { Description = "Print again every 2 seconds, until Ctrl-C" };

    /// <summary>Prints once, or until cancelled.</summary>
    /// <param name="output">Takes the reports; on a terminal each replaces the last.</param>
    /// <param name="watch">Whether to go on.</param>
    /// <param name="print">Makes one report.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<int> RunAsync(TextWriter output, bool watch, Func<Task> print, CancellationToken cancellationToken)
    {
        await print().ConfigureAwait(false);
        while (watch && !StandardOutput.ReaderIsGone)
        {
            await output.FlushAsync(cancellationToken).ConfigureAwait(false);
            await Task.Delay(Interval, cancellationToken).ConfigureAwait(false);
            await output.WriteAsync(ReportWriter.ColumnsOf(output) is null ? "\n" : ClearScreen).ConfigureAwait(false);
            await print().ConfigureAwait(false);
        }

        return ExitCode.Success;
    }
}
