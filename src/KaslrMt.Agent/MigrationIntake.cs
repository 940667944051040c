using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>Takes migrations for the host's tenant table, where the configuration names an address, and only there.</summary>
internal static class MigrationIntake
{
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(5);

    /// <summary>Listens until cancelled.</summary>
    public static async Task RunAsync(IServiceProvider services, CancellationToken cancellationToken)
    {
        HostConfiguration configuration = services.GetRequiredService<HostConfiguration>();
        if (configuration.Receive is not { } address)
        {
            return;
        }

        ILogger log = services.GetRequiredService<ILogger>();
        AgentVms vms = services.GetRequiredService<AgentVms>();
        HostTable table = vms.Host.Tables.Get(configuration.Table);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await new MigrationReceiver(table, log).ListenAsync(
                    LinkAddress.Parse(address, "receive"),
                    expected: null,
                    async (link, header, token) =>
                    {
                        try
                        {
                            await vms.Receive(link, header, table, CallerRules.OwnRights(configuration), line => log.Arriving(line[LineLogger.Prefix.Length..]), token).Running.ConfigureAwait(false);
                        }
                        catch (Exception error) when (error is KaslrMtException or IOException)
                        {
                            log.DidNotArrive(header.Spec.Name, error.Message);
                        }

                        return false;
                    },
                    cancellationToken).ConfigureAwait(false);
            }
            catch (KaslrMtException error)
            {
                log.ReceivingFailed(error.Code, address, error.Message);
                await Task.WhenAny(Task.Delay(AskAgain, cancellationToken)).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception error)
            {
                // One VM that came must not keep all others from coming.
                log.InternalError(error, CoreErrors.Internal, $"while VMs were awaited at {address}");
                await Task.WhenAny(Task.Delay(AskAgain, cancellationToken)).ConfigureAwait(false);
            }
        }
    }
}
