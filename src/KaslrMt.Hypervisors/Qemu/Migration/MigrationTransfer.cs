using System.Text.Json;

namespace KaslrMt.Hypervisors;

/// <summary>One migration out of a QEMU: begins it, watches it, and sees to it that the guest goes on here when it fails.</summary>
internal sealed class MigrationTransfer(QmpClient monitor)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan CancelPatience = TimeSpan.FromSeconds(30);

    /// <summary>Sends the guest away. When this returns, it stands still here and its state is wholly over there.</summary>
    /// <param name="uri">QEMU's spelling of the destination.</param>
    /// <param name="isAnswered">Whether the destination answers: then "completed" means that it has loaded the guest, not just that bytes were sent.</param>
    /// <param name="bytesPerSecond">The most it may send.</param>
    /// <param name="wasRunning">Whether the guest is to go on here when it fails.</param>
    /// <param name="progress">Told several times a second.</param>
    /// <param name="cancellationToken">Cancels the migration; the guest goes on here.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.MigrationFailed"/>, in QEMU's words; errors of the monitor.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled in time.</exception>
    internal async Task<MigrationProgress> RunAsync(
        string uri, bool isAnswered, long bytesPerSecond, bool wasRunning, IProgress<MigrationProgress>? progress, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        await monitor.ExecuteAsync("migrate-set-parameters", writer => writer.WriteNumber("max-bandwidth", bytesPerSecond), cancellationToken: CancellationToken.None).ConfigureAwait(false);
        await monitor.ExecuteAsync("migrate-set-capabilities", writer => Capability(writer, "return-path", isAnswered), cancellationToken: CancellationToken.None).ConfigureAwait(false);
        await monitor.ExecuteAsync("migrate", writer => writer.WriteString("uri", uri), cancellationToken: CancellationToken.None).ConfigureAwait(false);
        bool cancelled = false;
        long cancelledAt = 0;
        while (true)
        {
            JsonElement info = await monitor.ExecuteAsync("query-migrate", cancellationToken: CancellationToken.None).ConfigureAwait(false);
            MigrationProgress now = MigrationProgress.Of(info);
            progress?.Report(now);
            switch (now.Status)
            {
                case "completed":
                    return now;
                case "cancelled":
                    await ResumeAsync(wasRunning).ConfigureAwait(false);
                    throw new OperationCanceledException("the migration was cancelled", cancellationToken);
                case "failed":
                    await ResumeAsync(wasRunning).ConfigureAwait(false);
                    cancellationToken.ThrowIfCancellationRequested();
                    throw new KaslrMtException(HypervisorErrors.MigrationFailed, $"the migration failed: {Words(info)}", "the guest goes on where it was");
            }

            if (cancellationToken.IsCancellationRequested && !cancelled)
            {
                cancelled = true;
                cancelledAt = Environment.TickCount64;
                await monitor.ExecuteAsync("migrate_cancel", cancellationToken: CancellationToken.None).ConfigureAwait(false);
            }

            if (cancelled && Environment.TickCount64 - cancelledAt > CancelPatience.TotalMilliseconds)
            {
                throw new KaslrMtException(HypervisorErrors.MonitorTimeout, $"QEMU did not cancel the migration within {CancelPatience.TotalSeconds:0} s");
            }

            await Task.Delay(Interval, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>Lets the guest go on, whatever kept it: QEMU does so by itself unless the migration failed in its very last step.</summary>
    internal async Task ResumeAsync(bool wasRunning)
    {
        if (wasRunning && await StatusAsync(monitor).ConfigureAwait(false) != "running")
        {
            await monitor.ExecuteAsync("cont").ConfigureAwait(false);
        }
    }

    /// <summary>QEMU's <c>RunState</c>: <c>running</c>, <c>paused</c>, <c>inmigrate</c>, <c>postmigrate</c>, …</summary>
    internal static async Task<string> StatusAsync(QmpClient monitor, CancellationToken cancellationToken = default)
    {
        JsonElement status = await monitor.ExecuteAsync("query-status", cancellationToken: cancellationToken).ConfigureAwait(false);
        return status.TryGetProperty("status", out JsonElement word) ? word.GetString() ?? "" : "";
    }

    private static string Words(JsonElement info) =>
        info.TryGetProperty("error-desc", out JsonElement words) && words.ValueKind == JsonValueKind.String
            ? Printable.Of(words.GetString())
            : "the destination ended or refused the guest";

    private static void Capability(Utf8JsonWriter writer, string name, bool on)
    {
        writer.WriteStartArray("capabilities");
        writer.WriteStartObject();
        writer.WriteString("capability", name);
        writer.WriteBoolean("state", on);
        writer.WriteEndObject();
        writer.WriteEndArray();
    }
}
