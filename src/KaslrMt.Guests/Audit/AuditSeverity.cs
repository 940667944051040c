namespace KaslrMt.Guests;

/// <summary>How bad a finding is.</summary>
public enum AuditSeverity
{
    /// <summary>A protection is weaker than it should be; nothing shows that it was used.</summary>
    Weak,

    /// <summary>A secret is where the guest's users may read it.</summary>
    Leak,

    /// <summary>The kernel is not what it should be, or what it should refuse is possible.</summary>
    Compromised,
}
