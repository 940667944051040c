using System.Net.Sockets;
using System.Text.Json;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Vms.Detached;

/// <summary>Gives an order to a detached VM's supervisor and waits for its end.</summary>
internal static class ControlClient
{
    // A supervisor takes its VM out of runtime folder and memory within this after the order.
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);

    /// <summary>Gives the order. When it succeeds the VM is not here any more.</summary>
    /// <param name="vm">The VM.</param>
    /// <param name="order">The order.</param>
    /// <param name="error">Takes the supervisor's lines.</param>
    /// <param name="cancellationToken">Cancels the order, if it is not too late; the supervisor tells.</param>
    /// <returns>The exit code, and what was done if it is success.</returns>
    /// <exception cref="KaslrMtException">KMT9016: nobody takes orders; KMT9013: the supervisor ended in the middle.</exception>
    public static async Task<(int Code, MoveReport? Report)> GiveAsync(RunningVm vm, ControlRequest order, TextWriter error, CancellationToken cancellationToken)
    {
        if (vm.State is not { Detached: true })
        {
            throw new KaslrMtException(VmErrors.CannotMove, $"'{vm.Name}' runs in the foreground, or is starting", "only a VM of 'kaslrmt run --detach' can be saved or migrated");
        }

        string folder = vm.Folder;
        Stream stream;
        try
        {
            stream = await LocalSocket.ConnectAsync(Path.Combine(folder, "control.sock"), cancellationToken).ConfigureAwait(false);
        }
        catch (SocketException cause)
        {
            throw new KaslrMtException(VmErrors.CannotMove, $"the supervisor of '{vm.Name}' takes no orders", "wait until the VM runs (kaslrmt ps), and try again", cause);
        }

        await using (stream.ConfigureAwait(false))
        {
            await stream.WriteAsync((byte[])[.. JsonSerializer.SerializeToUtf8Bytes(order, MigrationHeaderJson.Default.ControlRequest), (byte)'\n'], CancellationToken.None).ConfigureAwait(false);
            using CancellationTokenRegistration cancelling = cancellationToken.Register(() => Cancel(stream));
            MoveReport? report = null;
            int? code;
            try
            {
                code = await SupervisorReport
                    .ReadAsync(stream, error, json => report = JsonSerializer.Deserialize(json, MigrationHeaderJson.Default.MoveReport)).ConfigureAwait(false);
            }
            catch (IOException)
            {
                code = null;
            }

            if (code == ExitCode.Success)
            {
                await GoneAsync(vm).ConfigureAwait(false);
            }

            return (code ?? throw new KaslrMtException(
                VmErrors.Supervisor, $"the supervisor of '{vm.Name}' ended in the middle", "see 'kaslrmt ps --all' for where it is now"), report);
        }
    }

    private static void Cancel(Stream stream)
    {
        try
        {
            stream.Write("cancel\n"u8);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // It is done.
        }
    }

    private static async Task GoneAsync(RunningVm vm)
    {
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < EndPatience.TotalMilliseconds;)
        {
            if (RunningVms.TryFind(vm.Name) is not { State: { } now } || now.Created != vm.State!.Created || now.OwnerProcess != vm.State.OwnerProcess)
            {
                return;
            }

            await Task.Delay(Interval).ConfigureAwait(false);
        }
    }
}
