using System.Globalization;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>The unprivileged user that root's VMs run as.</summary>
internal static class VmUser
{
    // eng/packaging/kaslrmt.sysusers.conf
    private const string Packaged = "kaslrmt-qemu";

    /// <summary>Gets the rights of the user that the package makes; null where this host has no such user.</summary>
    public static ProcessUser? FindPackaged() => FindNamed(Packaged);

    /// <summary>Gets its rights.</summary>
    /// <param name="name">The user's name, or <c>USER:GROUP</c> as numbers; <c>root</c> for none.</param>
    /// <returns>Null for root.</returns>
    /// <exception cref="KaslrMtException">KMT9014: this host has no such user.</exception>
    public static ProcessUser? Find(string name)
    {
        if (name == "root")
        {
            return null;
        }

        string[] parts = name.Split(':');
        if (parts.Length == 2 && uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint user) && user != 0
            && uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint group))
        {
            return new ProcessUser(user, group, []);
        }

        return FindNamed(name)
            ?? throw new KaslrMtException(VmErrors.Configuration, $"vm-user: this host has no user '{Printable.Of(name, 40)}'", "make it (useradd --system), or name another one");
    }

    private static ProcessUser? FindNamed(string name)
    {
        // passwd(5): name, password, user, group.
        string? line = File.ReadLines("/etc/passwd").FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.Ordinal));
        if (line?.Split(':') is not [_, _, string id, string primary, ..]
            || !uint.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out uint user)
            || !uint.TryParse(primary, NumberStyles.None, CultureInfo.InvariantCulture, out uint group))
        {
            return null;
        }

        // group(5): name, password, number, members. The group of /dev/kvm is among them where an operator put the user there.
        uint[] further = [.. File.ReadLines("/etc/group").Select(entry => entry.Split(':'))
            .Where(entry => entry.Length == 4 && entry[3].Split(',').Contains(name))
            .Select(entry => uint.Parse(entry[2], CultureInfo.InvariantCulture))];
        return new ProcessUser(user, group, further);
    }
}
