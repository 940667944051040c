using System.Globalization;
using Microsoft.Extensions.Hosting.Systemd;

namespace KaslrMt.Agent;

/// <summary>Tells systemd that the agent lives, three times in each period that the unit's <c>WatchdogSec=</c> allows. The host's own systemd support says only that it is ready.</summary>
/// <param name="services">Has the notifier where systemd started this process.</param>
/// <param name="time">The clock.</param>
internal sealed class Watchdog(IServiceProvider services, TimeProvider time) : BackgroundService
{
    private static readonly ServiceState Alive = new("WATCHDOG=1");

    /// <summary>Gets how often to tell.</summary>
    /// <param name="microseconds">What <c>$WATCHDOG_USEC</c> says (sd_watchdog_enabled(3)).</param>
    /// <param name="process">What <c>$WATCHDOG_PID</c> says: the process that is meant; null for any.</param>
    /// <param name="self">This process.</param>
    /// <returns>Null where nobody waits for it.</returns>
    internal static TimeSpan? Period(string? microseconds, string? process, int self) =>
        long.TryParse(microseconds, NumberStyles.None, CultureInfo.InvariantCulture, out long limit) && limit is > 0 and < 1L << 50
            && (process is null or "" || process == self.ToString(CultureInfo.InvariantCulture))
            ? TimeSpan.FromMicroseconds(Math.Max(limit / 3, 1000))
            : null;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (services.GetService<ISystemdNotifier>() is not { IsEnabled: true } notifier
            || Period(Environment.GetEnvironmentVariable("WATCHDOG_USEC"), Environment.GetEnvironmentVariable("WATCHDOG_PID"), Environment.ProcessId) is not { } period)
        {
            return;
        }

        // From the pool that also answers requests: an agent whose pool stands still is not alive.
        using PeriodicTimer timer = new(period, time);
        do
        {
            notifier.Notify(Alive);
        }
        while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
    }
}
