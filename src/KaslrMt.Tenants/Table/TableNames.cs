namespace KaslrMt.Tenants;

/// <summary>The rule for names of tenants, VMs and hosts: <c>[A-Za-z0-9][A-Za-z0-9_.-]{0,62}</c>.</summary>
public static class TableNames
{
    /// <summary>Returns whether the name is legal.</summary>
    public static bool IsLegal(string? name) =>
        name is { Length: > 0 and <= 63 } && char.IsAsciiLetterOrDigit(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');

    /// <summary>Returns the name where it is legal.</summary>
    /// <param name="name">The name to check.</param>
    /// <param name="kind">The thing that is named, such as <c>tenant</c>.</param>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.NameInvalid"/> when it is not legal.</exception>
    public static string Check(string? name, string kind) => IsLegal(name) ? name! : throw new KaslrMtException(
        TenantErrors.NameInvalid,
        $"'{Printable(name)}' is not a {kind}'s name",
        "use 1 to 63 letters, digits, '_', '.' and '-', a letter or digit first");

    // A name from outside must not carry terminal control into a message.
    private static string Printable(string? name) =>
        string.Concat((name ?? "").Take(80).Select(c => char.IsAscii(c) && !char.IsControl(c) ? c : '?'));
}
