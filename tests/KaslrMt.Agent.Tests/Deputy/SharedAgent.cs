using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests.Deputy;

/// <summary>Root's agent, which serves users 12345 (tenant acme) and group 23457 (tenant web).</summary>
public sealed class SharedAgent : RunningAgent
{
    internal const UnixFileMode Open = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead
        | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private const UnixFileMode Readable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    public SharedAgent()
        : base(Prepare)
    {
    }

    internal static AsUser Acme { get; } = new(12345, 12345);

    internal static AsUser Web { get; } = new(23456, 23456, 4242, 23457);

    internal static AsUser Nobody { get; } = new(23456, 23456);

    /// <summary>A kernel that everybody can read.</summary>
    internal string Kernel => Host.At("kernel");

    /// <summary>A kernel that root alone can read.</summary>
    internal string SecretKernel => Host.At("kernel.secret");

    /// <summary>A folder where root alone can write, and all can read.</summary>
    internal string RootsFolder => Host.At("roots");

    /// <summary>A folder where root alone can look.</summary>
    internal string ClosedFolder => Host.At("closed");

    /// <summary>A VM that is there at once.</summary>
    internal VmSpec Vm(string name, string tenant) => Specs.Waiting(name, Kernel) with { Tenant = tenant };

    /// <summary>The user that a VM's process runs as.</summary>
    internal uint UserOf(string name)
    {
        VmState state = Host.Runtime.List().Single(vm => vm.Name == name).State!;
        string[] users = File.ReadLines($"/proc/{state.ProcessId}/status").First(line => line.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[1..];
        return uint.Parse(Assert.Single(users.Distinct()), System.Globalization.CultureInfo.InvariantCulture);
    }

    private static void Prepare(HostFolder host)
    {
        host.Configure("allow = acme: 12345", "allow = web: @23457");
        File.SetUnixFileMode(host.Folder, Open);
        File.Copy(TestKernels.Image("6.1-cloud"), host.At("kernel"));
        File.SetUnixFileMode(host.At("kernel"), Readable);
        File.Copy(TestKernels.Image("6.1-cloud"), host.At("kernel.secret"));
        File.SetUnixFileMode(host.At("kernel.secret"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        host.Write("secret", "the secret of root");
        Directory.CreateDirectory(host.At("roots"), Open);
        Directory.CreateDirectory(host.At("closed"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
