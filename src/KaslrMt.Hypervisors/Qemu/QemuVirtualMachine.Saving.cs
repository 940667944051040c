using System.Net.Sockets;

namespace KaslrMt.Hypervisors;

/// <summary>Saving a guest into a file.</summary>
internal sealed partial class QemuVirtualMachine
{
    private const long Unlimited = 1L << 40;

    /// <inheritdoc/>
    public async Task<MigrationProgress> SaveAsync(
        string path,
        VmFolder folder,
        IProgress<MigrationProgress>? progress = null,
        ReadOnlyMemory<byte> preface = default,
        Func<Task>? saved = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(folder);
        using WholeFile file = WholeFile.Create(path);
        file.Write(preface.Span, 0);
        string socketPath = Path.Combine(folder.Path, "save.sock");
        File.Delete(socketPath);
        using UnixSocketPath address = UnixSocketPath.For(socketPath);
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(address.Short));
        folder.LetHypervisorConnect(socketPath);
        listener.Listen(1);

        MigrationTransfer migration = new(Monitor);
        bool wasRunning = await MigrationTransfer.StatusAsync(Monitor, cancellationToken).ConfigureAwait(false) == "running";
        using CancellationTokenSource given = new();
        Task taken = StateFile.TakeAsync(listener, file, preface.Length, given.Token);
        bool refused = false;
        try
        {
            // A guest that stands still is written once; one that runs would have to be written again and again.
            await Monitor.ExecuteAsync("stop", cancellationToken: cancellationToken).ConfigureAwait(false);
            MigrationProgress last = await migration
                .RunAsync($"unix:{address.Short}", isAnswered: false, Unlimited, wasRunning, progress, cancellationToken).ConfigureAwait(false);
            await taken.ConfigureAwait(false);
            file.Commit();
            refused = true;
            await (saved?.Invoke() ?? Task.CompletedTask).ConfigureAwait(false);
            refused = false;
            await DepartAsync(ShutdownReason.Saved).ConfigureAwait(false);
            return last;
        }
        catch (Exception failure)
        {
            await given.CancelAsync().ConfigureAwait(false);
            Exception? cause = await OutcomeAsync(taken).ConfigureAwait(false);
            await migration.ResumeAsync(wasRunning).ConfigureAwait(false);
            if (refused)
            {
                // Not before the guest goes on: until then the file is all that is left should this process die.
                File.Delete(path);
            }

            // QEMU only sees that its stream broke; the disk's own error says why.
            if (cause is KaslrMtException && failure is KaslrMtException { Code: var code } && code == HypervisorErrors.MigrationFailed)
            {
                throw cause;
            }

            if (failure is SocketException or IOException)
            {
                throw new KaslrMtException(HypervisorErrors.SaveFailed, $"the guest cannot be saved to {path} ({Printable.Of(failure.Message)})", inner: failure);
            }

            throw;
        }
        finally
        {
            LocalSocket.Remove(socketPath);
        }
    }

    private static async Task<Exception?> OutcomeAsync(Task task)
    {
        try
        {
            await task.ConfigureAwait(false);
            return null;
        }
        catch (Exception e) when (e is KaslrMtException or SocketException or OperationCanceledException)
        {
            return e;
        }
    }
}
