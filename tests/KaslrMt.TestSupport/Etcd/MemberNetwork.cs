using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace KaslrMt.TestSupport.Etcd;

/// <summary>
/// Network namespaces for the members of a cluster: each has a link to this process, for clients, and one to a hub that joins the members. Each link
/// can be cut by itself. Needs root; all of it goes with this process, however that ends.
/// </summary>
/// <remarks>The hub is a namespace of its own, where no host's firewall (Docker's, for one) filters what its bridge forwards.</remarks>
internal sealed class MemberNetwork : IDisposable
{
    // The shell outlives nothing: when this process is gone its input ends, and it takes everything down.
    private const string Script =
        """
        id=$1; net=$2; count=$3
        down() {
          for i in $(seq 0 $((count - 1))); do ip link del kmt$id-c$i; ip netns del kmt$id-n$i; done
          ip netns del kmt$id-hub
          ip route del unreachable $net.0/24
        } 2>/dev/null
        trap down EXIT
        set -e
        if ip -4 addr | grep -q " $net\."; then exit 1; fi
        # What is meant for a member whose link is cut must not find another way, out of this machine.
        ip route replace unreachable $net.0/24
        ip netns add kmt$id-hub
        ip -n kmt$id-hub link add br0 type bridge
        ip -n kmt$id-hub link set br0 up
        for i in $(seq 0 $((count - 1))); do
          ip netns add kmt$id-n$i
          ip -n kmt$id-n$i link set lo up
          ip link add kmt$id-c$i type veth peer name client netns kmt$id-n$i
          ip addr add $net.$((i * 4 + 1))/30 dev kmt$id-c$i
          ip link set kmt$id-c$i up
          ip -n kmt$id-n$i addr add $net.$((i * 4 + 2))/30 dev client
          ip -n kmt$id-n$i link set client up
          ip -n kmt$id-hub link add peer$i type veth peer name peer netns kmt$id-n$i
          ip -n kmt$id-hub link set peer$i master br0 up
          ip -n kmt$id-n$i addr add $net.$((129 + i))/28 dev peer
          ip -n kmt$id-n$i link set peer up
        done
        set +e
        echo ready
        cat >/dev/null
        """;

    private readonly Process _shell;
    private readonly string _id;
    private readonly string _net;

    private MemberNetwork(int members)
    {
        // Names have 15 characters at most; the addresses are of the range for benchmarks (RFC 2544), by process.
        _id = Environment.ProcessId.ToString("x", CultureInfo.InvariantCulture);
        _net = string.Create(CultureInfo.InvariantCulture, $"198.{18 + (Environment.ProcessId >> 8 & 1)}.{Environment.ProcessId & 0xff}");
        ProcessStartInfo start = new("sh") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        Array.ForEach(["-c", Script, "sh", _id, _net, $"{members}"], start.ArgumentList.Add);
        _shell = Process.Start(start)!;
        IsReady = _shell.StandardOutput.ReadLine() == "ready";
    }

    private bool IsReady { get; }

    /// <summary>The network, or null where this process may not make one.</summary>
    internal static MemberNetwork? TryCreate(int members)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return null;
        }

        var network = new MemberNetwork(members);
        if (network.IsReady)
        {
            return network;
        }

        network.Dispose();
        return null;
    }

    /// <summary>Where a member's clients find it.</summary>
    internal string ClientAddress(int member) => string.Create(CultureInfo.InvariantCulture, $"{_net}.{(member * 4) + 2}");

    /// <summary>Where the other members find it.</summary>
    internal string PeerAddress(int member) => string.Create(CultureInfo.InvariantCulture, $"{_net}.{129 + member}");

    /// <summary>The command that runs another inside a member's namespace.</summary>
    internal string[] Inside(int member) => ["ip", "netns", "exec", $"kmt{_id}-n{member}"];

    /// <summary>Cuts a member off from the others, or joins it again.</summary>
    internal void SetPeerLink(int member, bool up) => Run("-n", $"kmt{_id}-hub", "link", "set", $"peer{member}", up ? "up" : "down");

    /// <summary>Cuts a member off from its clients, or joins it again.</summary>
    internal void SetClientLink(int member, bool up) => Run("link", "set", $"kmt{_id}-c{member}", up ? "up" : "down");

    public void Dispose()
    {
        _shell.StandardInput.Close();
        _shell.WaitForExit();
        _shell.Dispose();
    }

    private static void Run(params string[] arguments)
    {
        using var ip = Process.Start("ip", arguments);
        ip.WaitForExit();
        Assert.Equal(0, ip.ExitCode);
    }
}
