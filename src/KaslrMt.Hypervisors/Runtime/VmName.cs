namespace KaslrMt.Hypervisors;

/// <summary>The rule for a VM's name, which is also a folder's: <c>[A-Za-z0-9][A-Za-z0-9_.-]{0,62}</c>.</summary>
public static class VmName
{
    /// <summary>Whether the name is legal.</summary>
    public static bool IsLegal(string? name)
    {
        if (name is null || name.Length is 0 or > 63 || !char.IsAsciiLetterOrDigit(name[0]))
        {
            return false;
        }

        return name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');
    }

    /// <summary>Returns the name.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.NameInvalid"/> when it is not legal.</exception>
    public static string Check(string? name) => IsLegal(name) ? name! : throw new KaslrMtException(
        HypervisorErrors.NameInvalid,
        $"'{Printable.Of(name, 80)}' is not a VM's name",
        "use 1 to 63 letters, digits, '_', '.' and '-', a letter or digit first");
}
