using KaslrMt.Hypervisors;

namespace KaslrMt.TestSupport;

/// <summary>A host of a test's own: a folder with a runtime, a state and a configuration directory, gone after the test.</summary>
internal sealed class HostFolder : Scratch
{
    internal HostFolder() => Runtime = RuntimeDirectory.Open(At("run"));

    internal RuntimeDirectory Runtime { get; }

    /// <summary>The named moment at which this host's next agent dies; null for none.</summary>
    internal string? CrashAt { get; set; }

    /// <summary>Where this host's tenant table and identity are.</summary>
    internal string StateDirectory => At("state");

    /// <summary>What <c>XDG_CONFIG_HOME</c> is there.</summary>
    internal string ConfigurationHome => At("config");

    /// <summary>What VMs have left in the runtime directory. Prepared kernels, initramfs and the agent's own files are no VM's.</summary>
    internal IEnumerable<string> Leftovers => Directory.EnumerateFileSystemEntries(Runtime.Path).Where(path => Path.GetFileName(path) is not (".prepared" or ".initramfs" or ".agent.lock" or "agent.sock" or "agent.log" or "agent.log.1"));

    /// <summary>Writes this host's configuration file.</summary>
    internal void Configure(params string[] lines)
    {
        string folder = Path.Combine(ConfigurationHome, "kaslrmt");
        Directory.CreateDirectory(folder);
        File.WriteAllLines(Path.Combine(folder, "config"), lines);
    }
}
