namespace KaslrMt.Guests;

/// <summary>One thing that is wrong in a guest.</summary>
/// <param name="Check">The check that found it.</param>
/// <param name="Severity">How bad it is.</param>
/// <param name="Where">A symbol and offset, an address or a page; no secret is in it.</param>
/// <param name="What">What is wrong, one line.</param>
/// <param name="Address">The run-time address, where there is one; a secret of the VM.</param>
public sealed record AuditFinding(string Check, AuditSeverity Severity, string Where, string What, VirtualAddress? Address = null)
{
    /// <summary>The check's name; what was found may tell the VM's layout.</summary>
    public override string ToString() => Check;
}
