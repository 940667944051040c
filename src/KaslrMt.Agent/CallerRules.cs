using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>
/// That the agent is no deputy: it opens no path and runs no argument that a caller named with rights that the caller lacks.
/// </summary>
internal static class CallerRules
{
    /// <summary>Checks the specification of a caller that is not the agent's own user, and fills in what the operator decides.</summary>
    /// <param name="spec">What the caller asks for.</param>
    /// <param name="caller">The caller.</param>
    /// <param name="configuration">What the operator configured.</param>
    /// <exception cref="KaslrMtException">KMT9025, KMT9026.</exception>
    public static VmSpec Check(VmSpec spec, Peer caller, HostConfiguration configuration)
    {
        foreach (string? path in (string?[])[spec.Kernel, spec.Initrd, spec.WorkingDirectory])
        {
            if (path is not (null or ['/', ..]))
            {
                throw new KaslrMtException(VmErrors.RequestInvalid, $"the path {Printable.Of(path, 200)} is not absolute", "the agent works in another folder than its callers");
            }
        }

        if (spec.Console == VmSpec.StandardConsole)
        {
            throw new KaslrMtException(VmErrors.RequestInvalid, "a VM of the agent has no standard streams", "give its console a socket, a file or none");
        }

        if (spec.HypervisorArguments.Contains(null!))
        {
            throw new KaslrMtException(VmErrors.RequestInvalid, "a hypervisor argument is null", "give strings");
        }

        if (spec.Memory == 0 || spec.Memory % ByteSize.MiB != 0)
        {
            throw new KaslrMtException(VmErrors.RequestInvalid, $"{spec.Memory} bytes are not a VM's memory", "give whole MiB");
        }

        CheckTable(spec.Table);
        _ = VmName.Check(spec.Name);
        _ = spec.UserArguments;

        // The table of another user's choice would be opened, and created, with this agent's rights.
        return caller.User == Users.Effective ? spec : spec with { Table = spec.Table is null ? null : configuration.Table, KeyFile = null };
    }

    /// <summary>Gets the rights that a caller's VM has: the caller's own; for root an unprivileged user's, where the operator named one.</summary>
    /// <returns>Null for this agent's own rights.</returns>
    public static ProcessUser? RightsOf(Peer caller, HostConfiguration configuration)
    {
        if (caller.User != Users.Effective)
        {
            return new ProcessUser(caller.User, caller.Group, caller.Groups);
        }

        return OwnRights(configuration);
    }

    /// <summary>
    /// Gets the rights that this agent's own VMs run with. Where the agent is root's: those of the configured user, or of the package's user where this host has it. Else the agent's own (null).
    /// </summary>
    /// <exception cref="KaslrMtException">KMT9014: this host has no such user.</exception>
    public static ProcessUser? OwnRights(HostConfiguration configuration) => Users.Effective != 0
        ? null
        : configuration.VmUser is { } name ? VmUser.Find(name) : VmUser.FindPackaged();

    /// <summary>Checks the path of a new file that a caller names.</summary>
    /// <exception cref="KaslrMtException">KMT9025, KMT9026.</exception>
    public static string NewFile(string path, Peer caller)
    {
        if (path is not ['/', ..])
        {
            throw new KaslrMtException(VmErrors.RequestInvalid, $"the path {Printable.Of(path, 200)} is not absolute", "the agent works in another folder than its callers");
        }

        return caller.User == Users.Effective
            ? path
            : throw new KaslrMtException(VmErrors.NotAllowed, $"user {caller.User} may not have this agent write files", "an operator saves VMs");
    }

    /// <summary>Checks where a caller sends a VM.</summary>
    /// <exception cref="KaslrMtException">KMT9001, KMT9026.</exception>
    public static LinkAddress Target(string text, Peer caller)
    {
        var address = LinkAddress.Parse(text, "to");

        // Whoever may not connect to a socket must not have the agent do it.
        return caller.User == Users.Effective || address.Path is null
            ? address
            : throw new KaslrMtException(VmErrors.NotAllowed, $"user {caller.User} may not have this agent connect to a Unix socket", "give HOST:PORT");
    }

    /// <summary>Checks a table that a caller describes: JSON can leave members out that have a default in the program.</summary>
    /// <exception cref="KaslrMtException">KMT9025.</exception>
    public static void CheckTable(TableSettings? table)
    {
        if (table is not null && (table.StateDirectory is not ['/', ..] || table.Etcd is null || table.Lease < TimeSpan.FromSeconds(5)))
        {
            throw new KaslrMtException(VmErrors.RequestInvalid, "a tenant table lacks its state directory (an absolute path), its access to etcd, or a lease of 5 seconds", "give all three, or no table for the agent's own");
        }
    }

    /// <summary>Refuses a caller that is not the agent's own user.</summary>
    /// <exception cref="KaslrMtException">KMT9026.</exception>
    public static void RequireOwner(Access access, Peer caller, string what)
    {
        if (!access.IsOwner(caller))
        {
            throw new KaslrMtException(VmErrors.NotAllowed, $"user {caller.User} may not {what} with this agent", "an operator does that");
        }
    }
}
