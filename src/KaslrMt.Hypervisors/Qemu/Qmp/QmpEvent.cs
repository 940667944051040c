using System.Text.Json;

namespace KaslrMt.Hypervisors;

/// <summary>Something QEMU reported by itself (<c>docs/interop/qmp-spec</c>, "Asynchronous events").</summary>
/// <param name="Name">For example <c>SHUTDOWN</c>.</param>
/// <param name="Data">Its data object; <see cref="JsonValueKind.Undefined"/> without one.</param>
internal readonly record struct QmpEvent(string Name, JsonElement Data)
{
    /// <summary>A string member of <see cref="Data"/>, or null.</summary>
    public string? Text(string member) =>
        Data.ValueKind == JsonValueKind.Object && Data.TryGetProperty(member, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
}
