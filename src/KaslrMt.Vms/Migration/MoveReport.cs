using System.Text.Json.Serialization;

namespace KaslrMt.Vms;

/// <summary>What <c>save</c> and <c>migrate</c> did.</summary>
/// <param name="Name">The VM.</param>
/// <param name="File">The file it is in.</param>
/// <param name="Host">The host it runs on now.</param>
/// <param name="Bytes">What its guest's state took.</param>
/// <param name="DowntimeMilliseconds">How long its guest stood still, as QEMU counts it.</param>
public sealed record MoveReport(
    string Name,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? File,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Host,
    long Bytes,
    long? DowntimeMilliseconds = null);
