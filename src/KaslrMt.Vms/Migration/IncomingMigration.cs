using System.Collections.Immutable;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>A VM that came from a file or another host, and all that its new owner needs of it.</summary>
internal sealed partial class IncomingMigration : IAsyncDisposable
{
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(1);

    private IVirtualMachine? _vm;

    private IncomingMigration(MigrationHeader header, TableSettings? table)
    {
        Spec = header.Spec with { Table = header.Spec.Table is null ? null : table };
        Request = LayoutRequest.Of(Spec, VmSecrets.None, header.Layout?.Draws());
        State = header.ToState();
        Layout = header.Layout;
    }

    /// <summary>Gets the VM's specification.</summary>
    public VmSpec Spec { get; }

    /// <summary>Gets what its layout is chosen from when its guest reboots; its new owner disposes of it.</summary>
    public LayoutRequest Request { get; }

    /// <summary>Gets its state.</summary>
    public VmState State { get; private set; }

    /// <summary>Gets the layout it came with; null where it boots with its kernel's own KASLR.</summary>
    public IntendedLayout? Layout { get; }

    /// <summary>Gets its record in the tenant table, or null.</summary>
    public VmRegistration? Registration { get; private set; }

    /// <summary>Gives the VM away; its new owner disposes of it.</summary>
    public IVirtualMachine TakeVm() => Interlocked.Exchange(ref _vm, null)!;

    /// <summary>Ends its hypervisor if nobody took the VM. What the table says stays: a restore or migration that failed changed nothing there.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _vm, null) is { } untaken)
        {
            await untaken.DisposeAsync().ConfigureAwait(false);
            if (Registration is not null)
            {
                await Registration.DisposeAsync().ConfigureAwait(false);
            }

            Request.Dispose();
        }
    }

    // QEMU's end alone is the VM's end: it outlives this process.
    private ImmutableArray<ProcessMark> Processes => [ProcessMark.Of(_vm!.ProcessId)];

    private void Keep(MigrationHeader header, VmFolder folder)
    {
        Spec.WriteTo(folder);
        header.Layout?.WriteTo(folder);
        header.Registration?.WriteTo(folder);
    }

    private MachineDefinition Define(VmFolder folder, VmHost host, ProcessUser? user, ILogger log) => new BootPipeline(Spec, Request, log, host.KernelsFor(Spec), user, host.UsesScopes).DefineIncoming(folder);

    private void NoteProcess(VmFolder folder)
    {
        State = State with { ProcessId = _vm!.ProcessId, ProcessStartTime = _vm.ProcessStartTime };
        folder.WriteState(State with { Moving = true });
    }

    private async Task BeginAsync(VmFolder folder, HostTable? table, VmRecord? record, ILogger log)
    {
        if (table is not null && record is not null)
        {
            Registration = VmRegistration.TakeOver(table, record, log);
            Registration.Renewed = vm => RegistrationFile.Of(vm, table.Settings).WriteTo(folder);
        }

        await _vm!.ContinueAsync().ConfigureAwait(false);
        folder.WriteState(State);
        await (Registration?.ReportAsync(_vm.ProcessId, State.Release) ?? Task.CompletedTask).ConfigureAwait(false);
        if (!File.Exists(Spec.Kernel))
        {
            log.KernelMissing(Spec.Name, Printable.Of(Spec.Kernel));
        }
    }
}
