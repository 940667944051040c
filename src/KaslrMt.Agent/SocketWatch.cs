using KaslrMt.Hypervisors;

namespace KaslrMt.Agent;

/// <summary>Watches over the agent's socket: an agent that no command can reach any more ends, so that another may begin.</summary>
internal sealed class SocketWatch
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly string _socket;
    private readonly DateTime _bound;

    /// <summary>Begins with the socket as it is.</summary>
    public SocketWatch(string socket) => (_socket, _bound) = (socket, File.GetLastWriteTimeUtc(socket));

    /// <summary>Gets whether the socket is this agent's still.</summary>
    public bool IsThere => File.GetLastWriteTimeUtc(_socket) == _bound;

    /// <summary>Gets whether the socket went away while the agent was to go on.</summary>
    public bool WasRemoved { get; private set; }

    /// <summary>Completes when the socket is gone, and stops the agent then; or when cancelled.</summary>
    public async Task RunAsync(IHostApplicationLifetime lifetime, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
            {
                if (lifetime.ApplicationStopping.IsCancellationRequested)
                {
                    return;
                }

                if (!IsThere)
                {
                    // The agent that ends removes it itself, once it stops.
                    WasRemoved = !lifetime.ApplicationStopping.IsCancellationRequested;
                    lifetime.StopApplication();
                    return;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The agent ends.
        }
    }

    /// <summary>Gets the error of an agent that ends because its socket is gone.</summary>
    /// <param name="vms">How many VMs it supervised.</param>
    public KaslrMtException Gone(int vms) => new(
        HypervisorErrors.RuntimeDirectoryFailed,
        $"the agent's socket {_socket} was removed while it ran, so no command reaches the agent, and it ends; {vms} VMs run on without an agent",
        "end VMs whose folders are gone by hand; the next agent makes the runtime directory anew");

    /// <summary>Removes the socket, if it is this agent's still.</summary>
    public void Remove()
    {
        if (IsThere)
        {
            File.Delete(_socket);
        }
    }
}
