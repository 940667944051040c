using System.Runtime.CompilerServices;

namespace KaslrMt.Agent.Tests;

/// <summary>What the agent and the libraries read from the environment is this test process's own.</summary>
internal static class Own
{
    [ModuleInitializer]
    internal static void UseOwnDirectories() => OwnDirectories.Use("agent-tests");
}
