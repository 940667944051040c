using KaslrMt;
using KaslrMt.Agent;

try
{
    return await AgentCommand.RunAsync(args).ConfigureAwait(false);
}
catch (KaslrMtException failure)
{
    await Console.Error.WriteLineAsync($"kaslrmtd: {failure.Code}: {Printable.Of(failure.Message, 2000)}").ConfigureAwait(false);
    return failure.Category switch
    {
        ErrorCategory.Usage => 2,
        ErrorCategory.Host or ErrorCategory.Store => 4,
        _ => 3,
    };
}
