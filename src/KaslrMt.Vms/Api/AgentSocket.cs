using KaslrMt.Hypervisors;

namespace KaslrMt.Vms;

/// <summary>Where the agent of a runtime directory listens.</summary>
internal static class AgentSocket
{
    /// <summary>The version of the interface that this program speaks.</summary>
    public const int ApiVersion = 1;

    /// <summary>The socket of the host's agent, root's.</summary>
    public const string Host = "/run/kaslrmt/agent.sock";

    private const string FileName = "agent.sock";

    /// <summary>Gets the socket's path for an agent of this user.</summary>
    public static string In(RuntimeDirectory runtime) => Path.Combine(runtime.Path, FileName);
}
