using System.Text.Json;
using KaslrMt.Guests;

namespace KaslrMt.Hypervisors;

/// <summary>A connection to a QEMU that another process owns.</summary>
internal sealed class QemuConnection(QmpClient monitor, int processId) : IVmConnection
{
    private const string Suffix = "-machine";

    /// <inheritdoc/>
    public int ProcessId => processId;

    /// <inheritdoc/>
    public Task<string> StatusAsync(CancellationToken cancellationToken = default) => MigrationTransfer.StatusAsync(monitor, cancellationToken);

    /// <inheritdoc/>
    public async Task<string> MachineTypeAsync(CancellationToken cancellationToken = default)
    {
        // QOM's name of the class: "pc-q35-7.2-machine".
        JsonElement type = await monitor.ExecuteAsync(
            "qom-get",
            writer =>
            {
                writer.WriteString("path", "/machine");
                writer.WriteString("property", "type");
            },
            cancellationToken: cancellationToken).ConfigureAwait(false);
        string name = type.ValueKind == JsonValueKind.String ? type.GetString()! : "";
        return name.EndsWith(Suffix, StringComparison.Ordinal) ? name[..^Suffix.Length] : name;
    }

    /// <inheritdoc/>
    public Task PauseAsync(CancellationToken cancellationToken = default) => monitor.ExecuteAsync("stop", cancellationToken: cancellationToken);

    /// <inheritdoc/>
    public Task ContinueAsync(CancellationToken cancellationToken = default) => monitor.ExecuteAsync("cont", cancellationToken: cancellationToken);

    /// <inheritdoc/>
    public Task RequestPowerOffAsync(CancellationToken cancellationToken = default) =>
        monitor.ExecuteAsync("system_powerdown", cancellationToken: cancellationToken);

    /// <inheritdoc/>
    public Task QuitAsync(CancellationToken cancellationToken = default) => monitor.ExecuteAsync("quit", cancellationToken: cancellationToken);

    /// <inheritdoc/>
    public async Task<IGuestMemory> OpenMemoryAsync(CancellationToken cancellationToken = default) =>
        await QemuMemory.OpenAsync(monitor, processId, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public Task<KernelHints> ReadHintsAsync(CancellationToken cancellationToken = default) => QemuRegisters.ReadHintsAsync(monitor, cancellationToken);

    /// <inheritdoc/>
    public Task<ulong> ReadCr3Async(CancellationToken cancellationToken = default) => QemuRegisters.ReadCr3Async(monitor, cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => monitor.DisposeAsync();
}
