using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary>A running VM, as <c>ps</c> and <c>show</c> report it. No secret.</summary>
internal sealed record VmReport
{
    /// <summary>The state of a VM that the tenant table knows on this host and the runtime directory does not.</summary>
    public const string NotHere = "not here";

    public required string Name { get; init; }

    public required string State { get; init; }

    /// <summary><c>foreground</c> or <c>detached</c>.</summary>
    public string? Mode { get; init; }

    public string? Tenant { get; init; }

    public string? Release { get; init; }

    public string? Kernel { get; init; }

    public string? Memory { get; init; }

    public string? Machine { get; init; }

    public string? Accelerator { get; init; }

    /// <summary>What its free pages hold: <c>kept</c> or <c>zeroed</c>.</summary>
    public string? FreePages { get; init; }

    public int? OwnerProcess { get; init; }

    [JsonPropertyName("qemuProcess")]
    public int? ProcessId { get; init; }

    public DateTimeOffset? Created { get; init; }

    public int? Reboots { get; init; }

    /// <summary>Why its guest waits at the gate for a kernel, or null.</summary>
    public string? Waiting { get; init; }

    /// <summary>The generation of its tenant's key, where the tenant table knows it.</summary>
    public long? Generation { get; init; }

    /// <summary>Why the tenant table cannot say whether it runs, or null.</summary>
    public string? InDoubt { get; init; }

    /// <summary>The tenant table it is in, or null.</summary>
    public string? Store { get; init; }

    public string? Policy { get; init; }

    /// <summary>The report of a VM that has no folder here.</summary>
    public static VmReport Of(VmView view) => new()
    {
        Name = view.Vm.Name,
        State = view.Vm.Status switch { VmStatus.Saved => "saved", VmStatus.Migrating => "migrating", _ => NotHere },
        Tenant = view.Vm.Tenant,
        Release = view.Vm.Release,
        Created = view.Vm.Started,
        Generation = view.Vm.Generation,
        InDoubt = view.InDoubt,
    };

    /// <summary>The report of a VM.</summary>
    public static VmReport Of(RunningVm vm) => Of(new VmInfo(vm.Name, false, vm.State));

    /// <inheritdoc cref="Of(RunningVm)"/>
    public static VmReport Of(VmInfo vm) => new()
    {
        Name = vm.Name,
        State = vm.State switch
        {
            { Detached: true, OwnerLives: false } => "unsupervised",
            { Moving: true, ProcessId: null } => "arriving",
            { Moving: true } => "moving",
            { ProcessId: not null, Waiting: not null } => "waiting",
            { ProcessId: not null } => "running",
            _ => "starting",
        },
        Mode = vm.State is null ? null : vm.State.Detached ? "detached" : "foreground",
        Tenant = vm.State?.Tenant,
        Release = vm.State?.Release,
        Kernel = vm.State?.Kernel,
        Memory = vm.State is null ? null : new ByteSize(vm.State.Memory).ToString(),
        Machine = vm.State?.Machine,
        Accelerator = vm.State?.Accelerator,
        FreePages = vm.State is null ? null : FreePagesSetting.Text(vm.State.FreePages),
        OwnerProcess = vm.State?.OwnerProcess,
        ProcessId = vm.State?.ProcessId,
        Created = vm.State?.Created,
        Reboots = vm.State?.Reboots,
        Waiting = vm.State?.Waiting,
        Policy = vm.Policy,
        Store = vm.Store,
        Generation = vm.Generation,
    };
}
