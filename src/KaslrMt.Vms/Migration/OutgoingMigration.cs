using System.Net.Sockets;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Etcd;

namespace KaslrMt.Vms;

/// <summary>Saves a detached VM to a file, or moves it to another host.</summary>
/// <remarks>The tenant table decides which host has the VM: a change of it stands between the guest's standing still here and its going on there.</remarks>
/// <param name="spec">The VM.</param>
/// <param name="folder">Its folder.</param>
/// <param name="registration">Its record in the tenant table, or null.</param>
/// <param name="owner">Its owner.</param>
internal sealed class OutgoingMigration(VmSpec spec, VmFolder folder, VmRegistration? registration, VmOwner owner)
{
    // A host that lost power says nothing more. The table is asked then.
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(30);

    private int _moving;

    /// <summary>Saves the VM to a new file. When this fails, the VM goes on here.</summary>
    /// <param name="file">The absolute path of the file; it must not exist.</param>
    /// <param name="cancellationToken">Cancels, if it is not too late.</param>
    public Task<MoveReport> SaveAsync(string file, CancellationToken cancellationToken) =>
        MoveAsync((vm, state) => SaveAsync(vm, state, file, cancellationToken), cancellationToken);

    /// <summary>Moves the VM to a host that awaits it. When this fails, the VM goes on here.</summary>
    /// <param name="address">Where that host listens.</param>
    /// <param name="cancellationToken">Cancels, if it is not too late.</param>
    public Task<MoveReport> MigrateAsync(LinkAddress address, CancellationToken cancellationToken) =>
        MoveAsync((vm, state) => MigrateAsync(vm, state, address, cancellationToken), cancellationToken);

    private async Task<MoveReport> MoveAsync(Func<IVirtualMachine, VmState, Task<MoveReport>> move, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _moving, 1) != 0)
        {
            throw new KaslrMtException(VmErrors.CannotMove, $"'{spec.Name}' is being saved or moved already", "wait for its end");
        }

        try
        {
            OwnedVm running = owner.Current ?? throw new KaslrMtException(VmErrors.CannotMove, $"'{spec.Name}' is just starting", "try again in a moment");
            owner.Note(running, folder, running.State with { Moving = true });
            CrashPoint.Reached("move-noted");
            try
            {
                await (registration?.BeginMoveAsync(cancellationToken) ?? Task.CompletedTask).ConfigureAwait(false);
                CrashPoint.Reached("move-begun");
                try
                {
                    return await move(running.Vm, running.State).ConfigureAwait(false);
                }
                catch
                {
                    registration?.Stays();
                    throw;
                }
            }
            catch
            {
                owner.Note(running, folder, running.State);
                throw;
            }
        }
        finally
        {
            Volatile.Write(ref _moving, 0);
        }
    }

    private async Task<MoveReport> SaveAsync(IVirtualMachine vm, VmState state, string file, CancellationToken cancellationToken)
    {
        byte[] preface = MigrationHeader.Of(await VersionedAsync(vm, cancellationToken).ConfigureAwait(false), folder, state).ToPreface();
        MigrationProgress last = await vm
            .SaveAsync(file, folder, preface: preface, saved: EnterSavedAsync, cancellationToken: cancellationToken).ConfigureAwait(false);
        CrashPoint.Reached("save-departed");
        return new MoveReport(spec.Name, file, null, preface.Length + last.Transferred, null);
    }

    // With the machine's version, which "q35" leaves to each hypervisor: the guest must find there what it had here, also after an upgrade.
    private async Task<VmSpec> VersionedAsync(IVirtualMachine vm, CancellationToken cancellationToken)
    {
        string type = await vm.MachineTypeAsync(cancellationToken).ConfigureAwait(false);
        return Hypervisor.Default.IsVersionOf(type, spec.Machine) ? spec with { Machine = type } : spec;
    }

    // The file is whole; from the table's word on it is the VM.
    private async Task EnterSavedAsync()
    {
        CrashPoint.Reached("save-written");
        await (registration?.SavedAsync() ?? Task.CompletedTask).ConfigureAwait(false);
        CrashPoint.Reached("save-entered");
    }

    private async Task<MoveReport> MigrateAsync(IVirtualMachine vm, VmState state, LinkAddress address, CancellationToken cancellationToken)
    {
        if (registration is null || spec.Table?.Store is not { } store || !EtcdLocation.IsOne(store))
        {
            throw new KaslrMtException(
                VmErrors.CannotMove, $"'{spec.Name}' is in no tenant table of several hosts", "run it with --tenant and a store in etcd, without a key of its own");
        }

        using KeyRing keys = KeyRingFile.Find(spec.Table.StateDirectory, spec.Table.KeyFile).Load();
        using MigrationLink link = await MigrationLink.ToAsync(await address.ConnectAsync(cancellationToken).ConfigureAwait(false), keys, cancellationToken).ConfigureAwait(false);
        string host;
        try
        {
            await link.SendAsync(LinkFrame.Vm, MigrationHeader.Of(await VersionedAsync(vm, cancellationToken).ConfigureAwait(false), folder, state).ToBytes(), cancellationToken).ConfigureAwait(false);
            host = await AwaitAsync(LinkFrame.Ready, await link.ReceiveAsync(cancellationToken).ConfigureAwait(false)).ConfigureAwait(false);
        }
        catch (IOException error)
        {
            throw new KaslrMtException(VmErrors.Link, $"the other host hung up ({error.Message})", "see what it says", error);
        }

        CrashPoint.Reached("migrate-ready");
        await registration.LeavesForAsync(host, cancellationToken).ConfigureAwait(false);
        CrashPoint.Reached("migrate-left");
        string path = Path.Combine(folder.Path, "migrate.sock");
        using LocalSocket door = LocalSocket.Listen(path);
        folder.LetHypervisorConnect(path);
        using var end = new CancellationTokenSource();
        Task<LinkRelay> meeting = MeetAsync(door, link, end.Token);
        try
        {
            MigrationProgress last = await vm.MigrateAsync(
                MigrationAddress.Unix(door.Address), arrived: () => HandOverAsync(meeting, link, host), cancellationToken: cancellationToken).ConfigureAwait(false);
            return new MoveReport(spec.Name, null, host, last.Transferred, (long)last.Downtime.TotalMilliseconds);
        }
        finally
        {
            await end.CancelAsync().ConfigureAwait(false);
            await EndAsync(meeting).ConfigureAwait(false);
        }
    }

    // The guest stands still here and is whole over there. Whatever happens to the other host or the link, the table has the last word.
    private async Task HandOverAsync(Task<LinkRelay> meeting, MigrationLink link, string host)
    {
        string problem;
        try
        {
            LinkRelay relay = await meeting.ConfigureAwait(false);
            CrashPoint.Reached("migrate-arrived");
            await link.SendAsync(LinkFrame.Go, new LinkMessages(), CancellationToken.None).ConfigureAwait(false);
            CrashPoint.Reached("migrate-gone");
            using var patience = new CancellationTokenSource(AnswerPatience);
            await AwaitAsync(LinkFrame.Taken, await relay.NextAsync(patience.Token).ConfigureAwait(false)).ConfigureAwait(false);
            CrashPoint.Reached("migrate-taken");
            registration!.Left();
            return;
        }
        catch (Exception error) when (error is KaslrMtException or IOException or SocketException or OperationCanceledException)
        {
            problem = error is OperationCanceledException ? "it did not say that it has the guest" : error.Message;
        }

        if (!await registration!.HasLeftAsync().ConfigureAwait(false))
        {
            throw new KaslrMtException(HypervisorErrors.MigrationFailed, $"host {host} did not take the guest: {problem}", "the guest goes on where it was");
        }
    }

    private static async Task<LinkRelay> MeetAsync(LocalSocket door, MigrationLink link, CancellationToken cancellationToken) =>
        new(link, await door.AcceptAsync(cancellationToken).ConfigureAwait(false));

    private static async Task EndAsync(Task<LinkRelay> meeting)
    {
        try
        {
            await (await meeting.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // QEMU did not get that far.
        }
    }

    private static Task<string> AwaitAsync(LinkFrame wanted, (LinkFrame Kind, byte[] Bytes) frame)
    {
        LinkMessages words = MigrationLink.WordsOf(frame.Bytes);
        return frame.Kind == wanted && words is { Problem: null, Host: { } host } && TableNames.IsLegal(host)
            ? Task.FromResult(host)
            : throw new KaslrMtException(
                HypervisorErrors.MigrationFailed, $"the other host does not take the guest: {Printable.Of(words.Problem ?? "it does not say why", 1000)}", "the guest goes on where it was");
    }
}
