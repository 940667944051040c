using System.Diagnostics;
using System.Globalization;

namespace KaslrMt.BootTests.Running;

/// <summary>The processes of a test's own host: its runtime directory stands in their environment, or, a QEMU's, in their arguments.</summary>
internal static class HostProcesses
{
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Gets the host's agents: one, or none. An agent's worker is none.</summary>
    internal static IReadOnlyList<int> Agents(HostFolder host) => Of(host, "kaslrmtd");

    /// <summary>Gets the host's QEMUs.</summary>
    internal static IReadOnlyList<int> Qemus(HostFolder host) => Of(host, "qemu");

    /// <summary>Ends a process at once, if it is there still.</summary>
    internal static void Kill(int? process)
    {
        try
        {
            if (process is int id)
            {
                using var target = Process.GetProcessById(id);
                target.Kill();
            }
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException)
        {
            // It has ended.
        }
    }

    /// <summary>Kills the host's agent, and waits until it is gone.</summary>
    internal static async Task KillAgentAsync(HostFolder host)
    {
        foreach (int agent in Agents(host))
        {
            Kill(agent);
        }

        await EventuallyAsync(() => Agents(host).Count == 0, "the agent's end");
    }

    /// <summary>Kills all of a host, as after a test that failed midway.</summary>
    internal static void KillAll(HostFolder host)
    {
        foreach (int process in (int[])[.. Agents(host), .. Qemus(host)])
        {
            Kill(process);
        }
    }

    /// <summary>Sends a signal: <c>STOP</c>, <c>CONT</c>, <c>TERM</c>.</summary>
    internal static async Task SignalAsync(int process, string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", process.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
    }

    /// <summary>Waits until something is so.</summary>
    internal static async Task EventuallyAsync(Func<bool> condition, string what)
    {
        long start = Environment.TickCount64;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 - start < Patience.TotalMilliseconds, $"not within {Patience.TotalSeconds} s: {what}");
            await Task.Delay(10);
        }
    }

    private static List<int> Of(HostFolder host, string word)
    {
        List<int> found = [];
        foreach (string process in Directory.GetDirectories("/proc"))
        {
            try
            {
                if (int.TryParse(Path.GetFileName(process), NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                    && File.ReadAllText(Path.Combine(process, "cmdline")) is var line && line.Split('\0') is [var program, var first, ..]
                    && Path.GetFileName(program).StartsWith(word, StringComparison.Ordinal) && first != "worker"
                    && (line.Contains($"{host.Runtime.Path}/", StringComparison.Ordinal)
                        || File.ReadAllText(Path.Combine(process, "environ")).Contains($"KASLRMT_RUNTIME_DIR={host.Runtime.Path}\0", StringComparison.Ordinal)))
                {
                    found.Add(id);
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // It ended while we looked, or is another user's.
            }
        }

        return found;
    }
}
