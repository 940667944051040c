namespace KaslrMt.Tenants;

/// <summary>Who makes a change, for the audit log.</summary>
/// <param name="UserId">The effective user's number.</param>
/// <param name="User">The user's name; behind sudo, who called it.</param>
/// <param name="Process">The process's number.</param>
/// <param name="Host">The host's identity.</param>
public sealed record Actor(uint UserId, string User, int Process, string Host)
{
    /// <summary>This process.</summary>
    /// <param name="host">The host's identity.</param>
    public static Actor Current(string host)
    {
        uint user = StateDirectory.EffectiveUser();
        string? behind = user == 0 ? Environment.GetEnvironmentVariable("SUDO_USER") : null;
        string name = string.IsNullOrEmpty(behind) ? Environment.UserName : $"{behind} (sudo)";
        return new Actor(user, string.Concat(name.Take(64).Where(c => !char.IsControl(c))), Environment.ProcessId, host);
    }
}
