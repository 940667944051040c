using System.Net.Sockets;

namespace KaslrMt.Hypervisors;

/// <summary>Putting a saved guest into a new QEMU.</summary>
internal sealed partial class QemuVirtualMachine
{
    /// <summary>Starts a QEMU and puts a saved guest into it.</summary>
    /// <param name="definition">As the guest was saved with; kernel, initrd and command line are not needed.</param>
    /// <param name="folder">The VM's folder.</param>
    /// <param name="path">The saved state. It stays: one who restores it twice has the same guest twice.</param>
    /// <param name="offset">Where in the file the state begins: behind the preface.</param>
    /// <param name="cancellationToken">Gives up and ends the QEMU.</param>
    /// <returns>The VM, running unless <see cref="MachineDefinition.StartPaused"/>.</returns>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.FileUnreadable"/>; <see cref="HypervisorErrors.ArrivalFailed"/>: the file is cut off, or of another VM; as <see cref="StartAsync"/>.
    /// </exception>
    public static async Task<QemuVirtualMachine> RestoreAsync(
        MachineDefinition definition, VmFolder folder, string path, long offset = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(definition);
        ArgumentNullException.ThrowIfNull(folder);
        using FileStream file = OpenSaved(path);
        file.Position = offset;
        QemuVirtualMachine vm = await StartAsync(definition with { AwaitsMigration = true }, folder, cancellationToken).ConfigureAwait(false);
        string socketPath = folder.HypervisorFile("restore.sock");
        try
        {
            using (UnixSocketPath address = UnixSocketPath.For(socketPath))
            {
                await vm.ReceiveFromAsync($"unix:{address.Short}", cancellationToken).ConfigureAwait(false);
            }

            try
            {
                await StateFile.GiveAsync(file, socketPath, cancellationToken).ConfigureAwait(false);
            }
            catch (SocketException)
            {
                // QEMU hung up in the middle: it says why as it ends.
            }

            await vm.WaitForArrivalAsync(cancellationToken).ConfigureAwait(false);
            if (!definition.StartPaused)
            {
                await vm.ContinueAsync(cancellationToken).ConfigureAwait(false);
            }

            return vm;
        }
        catch
        {
            await vm.DisposeAsync().ConfigureAwait(false);
            throw;
        }
        finally
        {
            LocalSocket.Remove(socketPath);
        }
    }

    private static FileStream OpenSaved(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(HypervisorErrors.FileUnreadable, $"cannot read the saved VM {Printable.Of(path)} ({Printable.Of(e.Message)})", inner: e);
        }
    }
}
