using KaslrMt.Hypervisors;

namespace KaslrMt.Agent;

/// <summary>The agent's own messages. No message has a key, a seed or a base.</summary>
internal static partial class AgentMessages
{
    [LoggerMessage(Level = LogLevel.Error, Message = "{Code}: internal error {Where}; please report it")]
    public static partial void InternalError(this ILogger log, Exception error, ErrorCode code, string where);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm} ended while no agent lived ({Reason})")]
    public static partial void EndedWithoutAgent(this ILogger log, string vm, ShutdownReason reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: {Vm} has no supervisor, and is tried again: {Problem}")]
    public static partial void AdoptionFailed(this ILogger log, ErrorCode code, string vm, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm} did not arrive: {Problem}")]
    public static partial void DidNotArrive(this ILogger log, string vm, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Line}")]
    public static partial void Arriving(this ILogger log, string line);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: migrations are not taken at {Address}, which is tried again: {Problem}")]
    public static partial void ReceivingFailed(this ILogger log, ErrorCode code, string address, string problem);
}
