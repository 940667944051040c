using System.CommandLine;
using System.CommandLine.Parsing;
using KaslrMt.Cli.Commands;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;

namespace KaslrMt.Cli;

/// <summary>The <c>kaslrmt</c> command: parses, runs, and turns every error into one line and an exit code.</summary>
internal static class CommandLine
{
    private const string Description =
        "Kernel address-space randomization for hosts of many tenants: the host chooses where a guest kernel's six regions lie. "
        + "All VMs of a tenant share the secret layout that memory deduplication needs; guests run their own unmodified kernels";

    private const int LongestMessage = 2000;

    // An argument that begins with @ is what it is: no file is read for it.
    private static readonly ParserConfiguration Parsing = new() { ResponseFileTokenReplacer = null };

    /// <summary>Runs one call of the command.</summary>
    /// <param name="args">The words behind <c>kaslrmt</c>.</param>
    /// <param name="output">Takes the report; flushed at the end.</param>
    /// <param name="error">Takes errors and a VM owner's own lines.</param>
    /// <returns>The exit code.</returns>
    public static Task<int> RunAsync(string[] args, TextWriter output, TextWriter error) => RunAsync(Create, args, output, error);

    /// <summary>Runs one call of a program.</summary>
    /// <param name="create">Makes the program's commands; takes the words behind <c>--</c>, which are QEMU's.</param>
    /// <param name="args">The words behind the program's name.</param>
    /// <param name="output">Takes the report; flushed at the end.</param>
    /// <param name="error">Takes errors and a VM owner's own lines.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(Func<string[], ProgramCommand> create, string[] args, TextWriter output, TextWriter error)
    {
        try
        {
            int code = await InvokeAsync(create, args, output, error).ConfigureAwait(false);
            await output.FlushAsync().ConfigureAwait(false);
            return code;
        }
        catch (KaslrMtException failure)
        {
            return Fail(error, failure);
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync("kaslrmt: interrupted").ConfigureAwait(false);
            return ExitCode.Interrupted;
        }
        catch (OutOfMemoryException cause)
        {
            return Fail(error, new(CommandErrors.OutOfMemory, "this process ran out of memory", "free some memory, or raise its limit (ulimit -v, cgroup)", cause));
        }
        catch (Exception cause) when (cause is IOException or UnauthorizedAccessException)
        {
            return Fail(error, new(
                CommandErrors.FileOperation, $"a file operation failed: {FileProblem.Reason(cause)}", $"look at the disk and its permissions; {Debugging.Hint}", cause));
        }
        catch (Exception cause)
        {
            // Its message may hold anything, so its type must do.
            return Fail(error, new(CoreErrors.Internal, $"internal error ({cause.GetType().Name})", $"please report it; {Debugging.Hint}", cause));
        }
    }

    private static async Task<int> InvokeAsync(Func<string[], ProgramCommand> create, string[] args, TextWriter output, TextWriter error)
    {
        (string[] own, string[] qemu) = RunCommand.Split(args);
        ProgramCommand root = create(qemu);
        HelpPage.Install(root);
        VersionLine.Install(root);
        ParseResult parsed = root.Parse(own, Parsing);
        if (parsed.CommandResult.Command is { Subcommands.Count: > 0, Action: null } group && parsed.Tokens.All(token => token.Type == TokenType.Command))
        {
            HelpPage.Print(output, group);
            return ExitCode.Usage;
        }

        if (UsageProblem.Of(parsed) is { } problem)
        {
            throw problem;
        }

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

    private static ProgramCommand Create(string[] qemuArguments) => new("kaslrmt", Description)
    {
        KernelCommand.Create(),
        LayoutCommand.Create(),
        ImageCommand.Create(),
        RunCommand.Create(qemuArguments),
        PsCommand.Create(),
        StopCommand.Create(),
        SaveCommand.Create(),
        RestoreCommand.Create(),
        MigrateCommand.Create(),
        ReceiveCommand.Create(),
        ShowCommand.Create(),
        VerifyCommand.Create(),
        AuditCommand.Create(),
        SymbolizeCommand.Create(),
        InspectCommand.Create(),
        ModulesCommand.Create(),
        TenantCommand.Create(),
        HostCommand.Create(),
        StoreCommand.Create(),
        SharingCommand.Create(),
        KsmCommand.Create(),
        KeyCommand.Create(),
        DoctorCommand.Create(),
        MovedCommand.Create("experiment"),
        MovedCommand.Create("report"),
        MovedCommand.Create("demo"),
    };

    private static int Fail(TextWriter error, KaslrMtException failure)
    {
        string hint = CommandHints.Of(failure.Code) is { } command && !failure.Message.Contains(command, StringComparison.Ordinal) ? $" ({command})" : "";
        error.WriteLine($"kaslrmt: {failure.Code}: {Printable.Of(failure.Message, LongestMessage)}{hint}");
        if (Debugging.IsOn)
        {
            error.WriteLine(failure.ToString());
        }

        return ExitCode.Of(failure.Category);
    }
}
