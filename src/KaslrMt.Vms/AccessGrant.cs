using System.Collections.Immutable;
using System.Globalization;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>That some users and groups of the host may act for a tenant: <c>allow = acme: alice, @web, 1000</c>.</summary>
/// <param name="Tenant">The tenant.</param>
/// <param name="Users">User numbers.</param>
/// <param name="Groups">Group numbers.</param>
internal sealed record AccessGrant(string Tenant, ImmutableArray<uint> Users, ImmutableArray<uint> Groups)
{
    /// <summary>Whether the grant covers a caller.</summary>
    /// <param name="user">The caller's user.</param>
    /// <param name="groups">The caller's groups, all of them.</param>
    public bool Covers(uint user, IReadOnlyList<uint> groups) => Users.Contains(user) || Groups.Any(groups.Contains);

    /// <summary>Reads a grant.</summary>
    /// <param name="text">The text behind <c>allow =</c>.</param>
    /// <exception cref="FormatException">It is malformed, or names a user or group that this host does not have.</exception>
    public static AccessGrant Parse(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string tenant = text[..Math.Max(colon, 0)].Trim();
        string[] names = text[(colon + 1)..].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (colon < 1 || names.Length == 0 || !TableNames.IsLegal(tenant))
        {
            throw new FormatException("a grant is 'TENANT: USER, @GROUP, …'");
        }

        return new(
            tenant,
            [.. names.Where(name => name[0] != '@').Select(name => NumberOf(name, "/etc/passwd", "user"))],
            [.. names.Where(name => name[0] == '@').Select(name => NumberOf(name[1..], "/etc/group", "group"))]);
    }

    // The last number stands for "none" in system calls (setresuid(2)).
    internal static bool IsNumber(string text) => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number != uint.MaxValue;

    // The third field in both files (passwd(5), group(5)). Names from elsewhere are to be given as numbers.
    internal static uint NumberOf(string name, string file, string kind)
    {
        if (name.Length > 0 && name.All(char.IsAsciiDigit))
        {
            return IsNumber(name) ? uint.Parse(name, CultureInfo.InvariantCulture) : throw new FormatException($"'{Printable.Of(name, 40)}' is not a {kind}'s number");
        }

        string? line = File.Exists(file) ? File.ReadLines(file).FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.Ordinal)) : null;
        return line?.Split(':') is [_, _, string field, ..] && uint.TryParse(field, NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
            ? number
            : throw new FormatException($"this host has no {kind} '{Printable.Of(name, 40)}'; give its number");
    }
}
