using System.Collections.Immutable;
using System.Net.Sockets;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>A VM that came from a file or another host, and all that its supervisor needs of it.</summary>
internal sealed class IncomingMigration : IAsyncDisposable
{
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(1);

    private IVirtualMachine? _vm;

    private IncomingMigration(MigrationHeader moving, TableSettings? table)
    {
        Plan = moving.Plan with { Table = moving.Plan.Table is null ? null : table };
        Request = Plan.ToRequest(key: null, seed: null, moving.Layout?.Draws());
        State = moving.ToState();
        Layout = moving.Layout;
    }

    /// <summary>What it is.</summary>
    public DetachedPlan Plan { get; }

    /// <summary>What its layout is chosen from when its guest reboots.</summary>
    public LayoutRequest Request { get; }

    /// <summary>Its state.</summary>
    public VmState State { get; private set; }

    /// <summary>The layout it came with; null where it boots with its kernel's own KASLR.</summary>
    public IntendedLayout? Layout { get; }

    /// <summary>Its place in the tenant table, or null.</summary>
    public VmRegistration? Place { get; private set; }

    /// <summary>The VM, whose owner disposes of it from here on.</summary>
    public IVirtualMachine TakeVm() => Interlocked.Exchange(ref _vm, null)!;

    /// <summary>Starts a saved VM. Until the table says that it runs, its file and its being saved stay as they are.</summary>
    /// <exception cref="KaslrMtException">KMT9015, 40xx, 30xx.</exception>
    public static async Task<IncomingMigration> FromFileAsync(IncomingRequest order, VmFolder folder, TextWriter log, CancellationToken cancellationToken)
    {
        (MigrationHeader moving, long offset) = MigrationHeader.ReadFrom(order.File!);
        if (moving.Plan.Name != order.Name)
        {
            throw new KaslrMtException(VmErrors.NotSaved, $"{order.File} holds VM '{Printable.Of(moving.Plan.Name)}', not '{order.Name}'");
        }

        TenantTable? table = moving.Place is null ? null : await TenantTable.OpenAsync(order.Table!, cancellationToken).ConfigureAwait(false);
        var arrival = new IncomingMigration(moving, order.Table);
        try
        {
            if (table is not null)
            {
                RequireSaved(await table.Store.FindVmAsync(order.Name, cancellationToken).ConfigureAwait(false), moving.Place!, order.File!);
            }

            arrival.Keep(moving, folder);
            arrival._vm = await Hypervisor.Default.RestoreAsync(arrival.Settings(folder, log), folder, order.File!, offset, cancellationToken).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            arrival.NoteQemu(folder);
            VmRecord? record = null;
            if (table is not null)
            {
                using Outcome outcome = await table.RestoreAsync(order.Name, arrival.Processes, CancellationToken.None).ConfigureAwait(false);
                record = outcome.Vm!;
                RegistrationFile.Of(record, order.Table!).WriteTo(folder);
            }

            await arrival.BeginAsync(folder, order.Table, table, record, log).ConfigureAwait(false);
            File.Delete(order.File!);
            await log.WriteLineAsync($"kaslrmt: {order.Name}: restored; its file is removed").ConfigureAwait(false);
            return arrival;
        }
        catch
        {
            await arrival.DisposeAsync().ConfigureAwait(false);
            throw;
        }
        finally
        {
            if (table is not null && arrival.Place is null)
            {
                await table.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    /// <summary>Awaits a VM from another host of the tenant table, and takes it.</summary>
    /// <param name="order">Which, and where.</param>
    /// <param name="folder">Its folder here.</param>
    /// <param name="log">Takes what happens meanwhile.</param>
    /// <param name="cancellationToken">Gives up, as long as the source has not given the guest away.</param>
    /// <param name="endToken">Ends the guest, whatever becomes of it.</param>
    /// <exception cref="KaslrMtException">KMT9018, 40xx, 30xx. The VM goes on where it was.</exception>
    public static async Task<IncomingMigration> FromHostAsync(
        IncomingRequest order, VmFolder folder, TextWriter log, CancellationToken cancellationToken, CancellationToken endToken)
    {
        LinkAddress address = LinkAddress.Parse(order.Listen!, "--listen");
        TableSettings settings = order.Table!;
        TenantTable table = await TenantTable.OpenAsync(settings, cancellationToken).ConfigureAwait(false);
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task alive = table.KeepAliveAsync(_ => { }, waiting.Token);
        MigrationLink? link = null;
        IncomingMigration? arrival = null;
        try
        {
            using KeyRing keys = KeyRingFile.Find(settings.StateDirectory, settings.KeyFile).Load();
            (link, MigrationHeader moving) = await MeetAsync(order.Name, address, keys, table, log, cancellationToken).ConfigureAwait(false);
            arrival = new IncomingMigration(moving, settings);
            try
            {
                arrival.Keep(moving, folder);
                arrival._vm = await Hypervisor.Default.StartAsync(arrival.Settings(folder, log), folder, cancellationToken).ConfigureAwait(false);
            }
            catch (KaslrMtException error)
            {
                await link.SendAsync(LinkFrame.Ready, new LinkMessages(Problem: $"{error.Code}: {error.Problem}"), cancellationToken).ConfigureAwait(false);
                throw;
            }

            LinkRelay relay = await arrival.LoadAsync(folder, link, table.Host.Id, cancellationToken).ConfigureAwait(false);
            await using (relay.ConfigureAwait(false))
            {
                // From here on it is not to be lost: the source has stopped it, and whoever takes this over asks the table.
                arrival.NoteQemu(folder);
                VmRecord record = await FinishAsync(table, order.Name, moving.Place!.Incarnation, arrival.Processes, log, endToken).ConfigureAwait(false);
                await waiting.CancelAsync().ConfigureAwait(false);
                await alive.ConfigureAwait(false);
                await arrival.BeginAsync(folder, settings, table, record, log).ConfigureAwait(false);
                await TellAsync(link, table.Host.Id).ConfigureAwait(false);
            }

            await log.WriteLineAsync($"kaslrmt: {order.Name}: arrived").ConfigureAwait(false);
            return arrival;
        }
        catch
        {
            if (arrival is not null)
            {
                await arrival.DisposeAsync().ConfigureAwait(false);
            }

            throw;
        }
        finally
        {
            link?.Dispose();
            await waiting.CancelAsync().ConfigureAwait(false);
            await alive.ConfigureAwait(false);
            if (arrival?.Place is null)
            {
                await table.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    /// <summary>Takes it out of the table if it ran, and ends its QEMU if nobody took it.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _vm, null) is { } untaken)
        {
            await untaken.DisposeAsync().ConfigureAwait(false);
        }

        if (Place is not null)
        {
            await Place.DisposeAsync().ConfigureAwait(false);
        }

        Request.Dispose();
    }

    private ImmutableArray<ProcessMark> Processes => [ProcessMark.Current, ProcessMark.Of(_vm!.ProcessId)];

    // Nobody who has not the key-encryption key gets further than a line in the log.
    private static async Task<(MigrationLink Link, MigrationHeader Vm)> MeetAsync(
        string name, LinkAddress address, KeyRing keys, TenantTable table, TextWriter log, CancellationToken cancellationToken)
    {
        using Socket listener = await address.ListenAsync(cancellationToken).ConfigureAwait(false);
        await log.WriteLineAsync($"kaslrmt: {name}: awaited at {address}; on its host: kaslrmt migrate {name} --to {address}").ConfigureAwait(false);
        try
        {
            var callers = new MigrationListener(listener, keys, SentAwayAsync);
            await using (callers.ConfigureAwait(false))
            {
                while (true)
                {
                    (MigrationLink link, MigrationHeader moving) = await callers.NextAsync(cancellationToken).ConfigureAwait(false);
                    try
                    {
                        if (await RefusalAsync(name, moving, table, cancellationToken).ConfigureAwait(false) is not { } refusal)
                        {
                            return (link, moving);
                        }

                        await link.SendAsync(LinkFrame.Ready, new LinkMessages(Problem: refusal), cancellationToken).ConfigureAwait(false);
                        throw new KaslrMtException(VmErrors.Link, refusal);
                    }
                    catch (Exception error) when (error is KaslrMtException or IOException or OperationCanceledException)
                    {
                        link.Dispose();
                        cancellationToken.ThrowIfCancellationRequested();
                        await SentAwayAsync(error).ConfigureAwait(false);
                    }
                }
            }
        }
        finally
        {
            if (address.Path is not null)
            {
                File.Delete(address.Path);
            }
        }

        Task SentAwayAsync(Exception error) => log.WriteLineAsync(
            $"kaslrmt: {name}: a caller was sent away: {(error is KaslrMtException known ? $"{known.Code}: {known.Message}" : "the source hung up, or said nothing")}");
    }

    private static async Task<string?> RefusalAsync(string name, MigrationHeader moving, TenantTable table, CancellationToken cancellationToken)
    {
        if (moving.Plan.Name != name)
        {
            return $"'{name}' is awaited, not '{Printable.Of(moving.Plan.Name)}'";
        }

        VmRecord? record = await table.Store.FindVmAsync(name, cancellationToken).ConfigureAwait(false);
        return record is null || record.Incarnation != moving.Place?.Incarnation ? $"the destination's tenant table does not know this '{name}': do both hosts use the same store?"
            : record.Host == table.Host.Id ? $"'{name}' is on this host already: both sides have the identity {table.Host.Id}"
            : null;
    }

    private static void RequireSaved(VmRecord? record, RegistrationFile note, string file)
    {
        if (record is { Status: not VmStatus.Saved })
        {
            throw new KaslrMtException(TenantErrors.VmStatusConflict, $"VM '{record.Name}' is not saved: it is {record.Status.ToString().ToLowerInvariant()} on host {record.Host}", "see 'kaslrmt ps --all'");
        }

        if (record?.Incarnation != note.Incarnation)
        {
            throw new KaslrMtException(
                VmErrors.NotSaved,
                $"{file} is not what the tenant table means by the saved VM: it was restored, forgotten or saved again since, or this is another table",
                "give the newest file, and the VM's own --store");
        }
    }

    private async Task<LinkRelay> LoadAsync(VmFolder folder, MigrationLink link, string host, CancellationToken cancellationToken)
    {
        string path = Path.Combine(folder.Path, "arrive.sock");
        using LocalSocket door = LocalSocket.Expect(path);
        await _vm!.ListenAsync(MigrationAddress.Unix(door.Address), cancellationToken).ConfigureAwait(false);
        var relay = new LinkRelay(link, await LocalSocket.ConnectAsync(path, cancellationToken).ConfigureAwait(false));
        try
        {
            await link.SendAsync(LinkFrame.Ready, new LinkMessages(host), cancellationToken).ConfigureAwait(false);
            Task arrived = _vm.WaitForArrivalAsync(cancellationToken);
            Task<(LinkFrame Kind, byte[] Bytes)> go = relay.NextAsync(cancellationToken);
            await (await Task.WhenAny(arrived, go).ConfigureAwait(false)).ConfigureAwait(false);
            if ((await go.ConfigureAwait(false)).Kind != LinkFrame.Go)
            {
                throw new KaslrMtException(VmErrors.Link, "the source does not say that the guest may go on here");
            }

            await arrived.ConfigureAwait(false);
            return relay;
        }
        catch
        {
            await relay.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    // The source waits for this change too, or undoes the move: there is no third way. A store that is away is asked until it is back.
    private static async Task<VmRecord> FinishAsync(
        TenantTable table, string name, Guid incarnation, ImmutableArray<ProcessMark> processes, TextWriter log, CancellationToken cancellationToken)
    {
        for (bool told = false; ; told = true)
        {
            try
            {
                using Outcome outcome = await table.FinishMigrationAsync(name, processes, incarnation, cancellationToken).ConfigureAwait(false);
                return outcome.Vm!;
            }
            catch (KaslrMtException error) when (
                error.Code != TenantErrors.VmUnknown && error.Code != TenantErrors.VmReplaced && error.Code != TenantErrors.VmStatusConflict)
            {
                if (!told)
                {
                    await log.WriteLineAsync($"kaslrmt: {error.Code}: {name} stands still until the tenant table says where it goes on: {error.Message}").ConfigureAwait(false);
                }

                await Task.Delay(AskAgain, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static async Task TellAsync(MigrationLink link, string host)
    {
        try
        {
            await link.SendAsync(LinkFrame.Taken, new LinkMessages(host), CancellationToken.None).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // The source asks the table then.
        }
    }

    private void Keep(MigrationHeader moving, VmFolder folder)
    {
        Plan.WriteTo(folder);
        moving.Layout?.WriteTo(folder);
        moving.Place?.WriteTo(folder);

        // What QEMU's arguments may be relative to.
        if (Directory.Exists(Plan.WorkingDirectory))
        {
            Directory.SetCurrentDirectory(Plan.WorkingDirectory);
        }
    }

    private MachineDefinition Settings(VmFolder folder, TextWriter log) => new VmOwner(Request, Plan.ToOptions(folder), log).IncomingSettings();

    private void NoteQemu(VmFolder folder)
    {
        State = State with { ProcessId = _vm!.ProcessId, ProcessStartTime = _vm.ProcessStartTime };
        folder.WriteState(State with { Moving = true });
    }

    private async Task BeginAsync(VmFolder folder, TableSettings? settings, TenantTable? table, VmRecord? record, TextWriter log)
    {
        if (table is not null)
        {
            Place = VmRegistration.Of(settings!, table, record!, log);
            Place.Renewed = vm => RegistrationFile.Of(vm, settings!).WriteTo(folder);
        }

        await _vm!.ContinueAsync().ConfigureAwait(false);
        folder.WriteState(State);
        await (Place?.ReportAsync(_vm.ProcessId, State.Release) ?? Task.CompletedTask).ConfigureAwait(false);
        if (!File.Exists(Plan.Kernel))
        {
            await log.WriteLineAsync($"kaslrmt: WARNING: {Plan.Name}: there is no kernel {Plan.Kernel} on this host: the VM will end when its guest reboots").ConfigureAwait(false);
        }
    }
}
