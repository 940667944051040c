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

        TextWriter log = services.GetRequiredService<TextWriter>();
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
                            await vms.Receive(link, header, table, log.WriteLine, token).Running.ConfigureAwait(false);
                        }
                        catch (Exception error) when (error is KaslrMtException or IOException)
                        {
                            await log.WriteLineAsync($"kaslrmt: {header.Spec.Name} did not arrive: {error.Message}").ConfigureAwait(false);
                        }

                        return false;
                    },
                    cancellationToken).ConfigureAwait(false);
            }
            catch (KaslrMtException error)
            {
                await log.WriteLineAsync($"kaslrmt: {error.Code}: migrations are not taken at {address}, which is tried again: {error.Message}").ConfigureAwait(false);
                await Task.WhenAny(Task.Delay(AskAgain, cancellationToken)).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }
}
