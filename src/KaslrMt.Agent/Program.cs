using KaslrMt;
using KaslrMt.Agent;

TextWriter starter = Console.Error;
try
{
    return await AgentCommand.RunAsync(args).ConfigureAwait(false);
}
catch (Exception error)
{
    KaslrMtException failure = error as KaslrMtException ?? new KaslrMtException(CoreErrors.Internal, $"internal error ({error.GetType().Name})", "please report it", error);
    if (failure != error)
    {
        await Console.Error.WriteLineAsync(error.ToString()).ConfigureAwait(false);
    }

    string line = $"kaslrmtd: {failure.Code}: {Printable.Of(failure.Message, 2000)}";
    await Console.Error.WriteLineAsync(line).ConfigureAwait(false);
    if (Console.Error != starter)
    {
        // The command that started the agent may still wait for it, and looks into no log.
        await starter.WriteLineAsync(line).ConfigureAwait(false);
    }

    return failure.Category switch
    {
        ErrorCategory.Usage => 2,
        ErrorCategory.Host or ErrorCategory.Store => 4,
        _ => 3,
    };
}
