using System.Text.Json.Serialization;
using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors;

/// <summary>What a VM's folder says about it, for other commands and for whoever cleans up. Holds no secret: no key, seed or base.</summary>
public sealed record VmState
{
    /// <summary>The VM's name.</summary>
    public required string Name { get; init; }

    /// <summary>Whose it is.</summary>
    public string? Tenant { get; init; }

    /// <summary>The process that runs the VM.</summary>
    public required int OwnerProcess { get; init; }

    /// <summary>When that process started (<c>/proc/PID/stat</c> field 22): tells it from a later one of its number.</summary>
    public required ulong OwnerStartTime { get; init; }

    /// <summary>The first state of a VM that this process owns.</summary>
    /// <param name="name">The VM's name.</param>
    public static VmState OwnedByThisProcess(string name) => new()
    {
        Name = name,
        OwnerProcess = Environment.ProcessId,
        OwnerStartTime = ProcessIdentity.StartTime(Environment.ProcessId) ?? 0,
        Created = DateTimeOffset.UtcNow,
    };

    /// <summary>Whether the VM outlives its owner: the next command gives it a new one.</summary>
    public bool Detached { get; init; }

    /// <summary>This state with this process as the owner.</summary>
    public VmState TakenOver() => this with
    {
        OwnerProcess = Environment.ProcessId,
        OwnerStartTime = ProcessIdentity.StartTime(Environment.ProcessId) ?? 0,
    };

    /// <summary>Whether the owner's process lives.</summary>
    [JsonIgnore]
    public bool OwnerLives => ProcessIdentity.IsRunning(OwnerProcess, OwnerStartTime);

    /// <summary>Gets the VM's process, once started.</summary>
    [JsonPropertyName("qemuProcess")]
    public int? ProcessId { get; init; }

    /// <summary>Gets when that process started, as <see cref="OwnerStartTime"/>.</summary>
    [JsonPropertyName("qemuStartTime")]
    public ulong? ProcessStartTime { get; init; }

    /// <summary>The tenant's kernel file.</summary>
    public string? Kernel { get; init; }

    /// <summary>The kernel's release, <c>6.1.0-51-cloud-amd64</c>.</summary>
    public string? Release { get; init; }

    /// <summary>RAM in bytes.</summary>
    public ulong Memory { get; init; }

    /// <summary>The machine type.</summary>
    public string? Machine { get; init; }

    /// <summary><c>tcg</c> or <c>kvm</c>.</summary>
    public string? Accelerator { get; init; }

    /// <summary>What its free pages hold.</summary>
    public FreePages FreePages { get; init; }

    /// <summary>When the VM was first started.</summary>
    public DateTimeOffset Created { get; init; }

    /// <summary>Whether it is being saved or restored, or moves to or from another host: whoever takes it over asks the tenant table where it goes on.</summary>
    public bool Moving { get; init; }

    /// <summary>Why the guest waits at its gate and got no kernel; null while it does not.</summary>
    public string? Waiting { get; init; }

    /// <summary>How often the guest has rebooted since.</summary>
    public int Reboots { get; init; }
}

/// <summary>Writes and reads <see cref="VmState"/> without reflection, which would cost every command its start-up time.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(VmState))]
internal sealed partial class VmStateJson : JsonSerializerContext;
