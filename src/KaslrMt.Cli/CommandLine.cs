using System.CommandLine;
using KaslrMt.Cli.Commands;
using KaslrMt.Cli.Demo;
using KaslrMt.Cli.Output;

namespace KaslrMt.Cli;

/// <summary>The <c>kaslrmt</c> command: parses, runs, and turns every error into one line and an exit code.</summary>
internal static class CommandLine
{
    private const string Description =
        "Kernel address-space randomization for hosts of many tenants: the host chooses where a guest kernel's six regions lie. "
        + "All VMs of a tenant share the secret layout that memory deduplication needs; guests run their own unmodified kernels.";

    /// <summary>Runs one call of the command.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error)
    {
        var root = new RootCommand(Description)
        {
            KernelCommand.Create(),
            LayoutCommand.Create(),
            ImageCommand.Create(),
            RunCommand.Create(),
            PsCommand.Create(),
            StopCommand.Create(),
            ShowCommand.Create(),
            VerifyCommand.Create(),
            KeyCommand.Create(),
            DoctorCommand.Create(),
            DemoCommand.Create(),
        };
        HelpWithExamples.Install(root);
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            string remedy = parsed.CommandResult.Command == root ? "kaslrmt --help" : $"kaslrmt {parsed.CommandResult.Command.Name} --help";
            await error.WriteLineAsync($"kaslrmt: {CommandErrors.Usage}: {parsed.Errors[0].Message.TrimEnd('.')}; see '{remedy}'").ConfigureAwait(false);
            return ExitCode.Usage;
        }

        try
        {
            // Errors are ours to report; and a VM's owner ends its VM itself, so no timeout cuts the clean-up short.
            var configuration = new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
                Output = output,
                Error = error,
            };
            return await parsed.InvokeAsync(configuration).ConfigureAwait(false);
        }
        catch (KaslrMtException failure)
        {
            await error.WriteLineAsync($"kaslrmt: {failure.Code}: {failure.Message}").ConfigureAwait(false);
            return ExitCode.Of(failure.Category);
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync("kaslrmt: interrupted").ConfigureAwait(false);
            return ExitCode.Interrupted;
        }
    }
}
