using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>What the agent says of itself: <c>GET /v1</c>.</summary>
/// <param name="Product"><c>kaslrmtd</c>.</param>
/// <param name="Version">The program's version.</param>
/// <param name="Api">The version of the interface; a client of a later one must not expect more than this.</param>
/// <param name="ProcessId">The agent's process.</param>
/// <param name="User">The user that the agent runs as.</param>
/// <param name="Vms">How many VMs it supervises.</param>
public sealed record AgentInfo(string Product, string Version, int Api, int ProcessId, uint User, int Vms);

/// <summary>A VM as the agent lists it: <c>GET /v1/vms</c>. Holds no secret.</summary>
/// <param name="Name">The VM.</param>
/// <param name="Supervised">Whether this agent supervises it; a VM in the foreground belongs to its command.</param>
/// <param name="State">What its folder says; null while it is being made.</param>
public sealed record VmInfo(string Name, bool Supervised, VmState? State = null)
{
    /// <summary>The policy of its layout, such as <c>110010</c>; <c>nokaslr</c> where nothing is randomized; null where the kernel's own KASLR decides, and in a list.</summary>
    public string? Policy { get; init; }

    /// <summary>The tenant table that the VM is in; null where it is in none, and in a list.</summary>
    public string? Store { get; init; }

    /// <summary>The generation of its tenant's key; null where it is in no table, and in a list.</summary>
    public long? Generation { get; init; }

    /// <summary>Gets all about a VM but its secrets.</summary>
    internal static VmInfo Of(RunningVm vm, bool isSupervised)
    {
        IntendedLayout? layout = IntendedLayout.ReadFrom(vm.Folder);
        RegistrationFile? registration = RegistrationFile.TryReadFrom(vm.Folder);
        return new VmInfo(vm.Name, isSupervised, vm.State)
        {
            Policy = layout is { Link: true } ? "nokaslr" : layout?.Policy,
            Store = registration?.Store,
            Generation = registration?.Generation,
        };
    }
}

/// <summary>The VMs of a host.</summary>
/// <param name="Vms">Sorted by name.</param>
public sealed record VmList(IReadOnlyList<VmInfo> Vms);

/// <summary>Starts a VM: <c>POST /v1/vms</c>. The secrets travel over a socket of this host only, and are written nowhere.</summary>
/// <param name="Spec">The VM.</param>
/// <param name="Key">The tenant key as bytes; null where the tenant table gives it.</param>
/// <param name="Seed">The VM seed as 64 hexadecimal digits; null for new random ones.</param>
public sealed record StartRequest(VmSpec Spec, byte[]? Key = null, string? Seed = null)
{
    /// <summary>Shows no secret.</summary>
    public override string ToString() => $"{nameof(StartRequest)} {Spec.Name}";
}

/// <summary>Stops a VM: <c>POST /v1/vms/NAME/stop</c>.</summary>
/// <param name="Grace">How long its guest may take to power off, in seconds; 0 to quit at once.</param>
public sealed record StopRequest(int Grace);

/// <summary>Saves a VM: <c>POST /v1/vms/NAME/save</c>.</summary>
/// <param name="File">The absolute path of a new file.</param>
public sealed record SaveRequest(string File);

/// <summary>Starts a saved VM: <c>POST /v1/vms/NAME/restore</c>.</summary>
/// <param name="File">The absolute path of its file.</param>
/// <param name="Table">Its tenant table; null for the agent's own.</param>
public sealed record RestoreRequest(string File, TableSettings? Table = null);

/// <summary>Moves a VM: <c>POST /v1/vms/NAME/migrate</c>.</summary>
/// <param name="To">Where the other host awaits it.</param>
public sealed record MigrateRequest(string To);

/// <summary>Awaits a VM from another host: <c>POST /v1/vms/NAME/receive</c>.</summary>
/// <param name="Listen">Where to await it.</param>
/// <param name="Table">The tenant table of both hosts; null for the agent's own.</param>
public sealed record ReceiveRequest(string Listen, TableSettings? Table = null);

/// <summary>
/// One line of a long answer (<c>application/x-ndjson</c>): any number of log lines, then one with an outcome. A line has one of the members.
/// </summary>
public sealed record AnswerLine
{
    /// <summary>A line for the person that waits.</summary>
    public string? Line { get; init; }

    /// <summary>The outcome: it went well. Whether the VM's memory holds its layout; null where it was not compared.</summary>
    public AnswerDone? Done { get; init; }

    /// <summary>The outcome: it failed.</summary>
    public Problem? Problem { get; init; }
}

/// <summary>That an order went well.</summary>
/// <param name="Verified">Whether the VM's memory holds its layout; null where it was not compared.</param>
/// <param name="Move">What a save or migration did.</param>
public sealed record AnswerDone(bool? Verified = null, MoveReport? Move = null);

/// <summary>Why the agent refused or failed: the body of every answer that is not a success.</summary>
/// <param name="Code">The error, such as <c>KMT9006</c>.</param>
/// <param name="Category">The error's category (<see cref="ErrorCategory"/>), which the command's exit code follows from.</param>
/// <param name="Message">One line: what was wrong, where, and what to do.</param>
public sealed record Problem(string Code, ErrorCategory Category, string Message)
{
    /// <summary>Gets the problem of an error.</summary>
    public static Problem Of(KaslrMtException error)
    {
        ArgumentNullException.ThrowIfNull(error);
        return new(error.Code.ToString(), error.Category, Printable.Of(error.Message, 2000));
    }

    /// <summary>Gets the error as the client throws it.</summary>
    public KaslrMtException ToException() => new(
        new ErrorCode(Code.Length == 7 && int.TryParse(Code.AsSpan(3), out int number) ? number : CoreErrors.Internal.Number, Category), Printable.Of(Message, 2000));
}

/// <summary>Something that happened on the host: one line of <c>GET /v1/events</c>.</summary>
/// <param name="Time">When.</param>
/// <param name="Kind">What: <c>starting</c>, <c>running</c>, <c>verified</c>, <c>not-verified</c>, <c>ended</c>, <c>failed</c>, <c>saved</c>, <c>migrated</c>, <c>restored</c>, <c>arrived</c>, <c>adopted</c>.</param>
/// <param name="Vm">The VM.</param>
/// <param name="Tenant">Its tenant, or null.</param>
/// <param name="Detail">One clause, or null.</param>
public sealed record HostEvent(DateTimeOffset Time, string Kind, string Vm, string? Tenant = null, string? Detail = null);

/// <summary>Writes and reads the interface's shapes without reflection.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip)]
[JsonSerializable(typeof(AgentInfo))]
[JsonSerializable(typeof(VmInfo))]
[JsonSerializable(typeof(VerifyReport))]
[JsonSerializable(typeof(VmList))]
[JsonSerializable(typeof(StartRequest))]
[JsonSerializable(typeof(StopRequest))]
[JsonSerializable(typeof(SaveRequest))]
[JsonSerializable(typeof(RestoreRequest))]
[JsonSerializable(typeof(MigrateRequest))]
[JsonSerializable(typeof(ReceiveRequest))]
[JsonSerializable(typeof(AnswerLine))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(HostEvent))]
internal sealed partial class ApiJson : JsonSerializerContext;
