namespace KaslrMt.Vms;

/// <summary>What a command asks of a detached VM's supervisor. One of the two.</summary>
internal sealed record ControlRequest
{
    /// <summary>Save the VM to this file.</summary>
    public string? SaveTo { get; init; }

    /// <summary>Move the VM to who listens there.</summary>
    public string? MigrateTo { get; init; }
}
