using System.Net.Sockets;
using System.Text.Json;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Vms.Detached;

/// <summary>Takes orders for a detached VM, one after the other, at the socket in its private folder.</summary>
/// <remarks>One line of JSON is the order; any further line, or hanging up, cancels it. The answer is that of <see cref="SupervisorReport"/>.</remarks>
internal sealed class ControlServer : IAsyncDisposable
{
    private const int LongestOrder = 16 << 10;

    private readonly LocalSocket _socket;
    private readonly Func<ControlRequest, SupervisorReport, CancellationToken, Task> _obey;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _serving;

    /// <summary>Begins.</summary>
    /// <param name="folder">The VM's folder.</param>
    /// <param name="obey">Does what is asked.</param>
    public ControlServer(VmFolder folder, Func<ControlRequest, SupervisorReport, CancellationToken, Task> obey)
    {
        _socket = LocalSocket.Listen(folder.ControlSocket);
        _obey = obey;
        _serving = Task.Run(ServeAsync);
    }

    /// <summary>Ends, after the order that is at work.</summary>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _serving.ConfigureAwait(false);
        _socket.Dispose();
        _end.Dispose();
    }

    private async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                await using Stream client = await _socket.AcceptAsync(_end.Token).ConfigureAwait(false);
                await ServeAsync(client).ConfigureAwait(false);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The VM has ended.
        }
    }

    private async Task ServeAsync(Stream client)
    {
        var report = new SupervisorReport(client);
        using var cancelled = new CancellationTokenSource();
        try
        {
            byte[] line = await ReadLineAsync(client, _end.Token).ConfigureAwait(false);
            ControlRequest order = JsonSerializer.Deserialize(line, MigrationHeaderJson.Default.ControlRequest) ?? throw new JsonException();
            Task waiting = CancelAsync(client, cancelled);
            await _obey(order, report, cancelled.Token).ConfigureAwait(false);
            report.End(ExitCode.Success);
        }
        catch (OperationCanceledException)
        {
            report.End(ExitCode.Interrupted);
        }
        catch (KaslrMtException failure)
        {
            report.Line($"kaslrmt: {failure.Code}: {Printable.Of(failure.Message, 2000)}");
            report.End(ExitCode.Of(failure.Category));
        }
        catch (Exception failure)
        {
            // Whatever it was, the VM must not lose its supervisor over it.
            report.Line($"kaslrmt: {CoreErrors.Internal}: internal error ({failure.GetType().Name}) in the supervisor; {Debugging.Hint}");
            report.End(ExitCode.HostFailed);
        }
    }

    private static async Task CancelAsync(Stream client, CancellationTokenSource cancelled)
    {
        try
        {
            await client.ReadExactlyAsync(new byte[1], CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // It hung up, or was answered.
        }

        try
        {
            await cancelled.CancelAsync().ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // The order is done.
        }
    }

    private static async Task<byte[]> ReadLineAsync(Stream client, CancellationToken cancellationToken)
    {
        var line = new List<byte>();
        byte[] one = new byte[1];
        while (line.Count < LongestOrder && await client.ReadAsync(one, cancellationToken).ConfigureAwait(false) == 1 && one[0] != '\n')
        {
            line.Add(one[0]);
        }

        return [.. line];
    }
}
