using KaslrMt.Kernels;

namespace KaslrMt.Vms;

/// <summary>Where prepared kernels are cached: on disk, for all VMs of a user.</summary>
internal static class CacheLocation
{
    /// <summary>The environment variable that names the folder.</summary>
    public const string Variable = "KASLRMT_CACHE_DIR";

    private const string SystemFolder = "/var/cache/kaslrmt";

    /// <summary>Opens the cache.</summary>
    /// <exception cref="KaslrMtException">KMT2603, KMT2601.</exception>
    public static PreparedKernelCache Open() => PreparedKernelCache.Open(Folder);

    /// <summary>Gets the cache's folder.</summary>
    public static string Folder => Path.Combine(Root(), "prepared");

    private static string Root()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            return Path.GetFullPath(named);
        }

        if (Environment.IsPrivilegedProcess)
        {
            return SystemFolder;
        }

        // XDG base directories: a relative path there is to be ignored.
        string? user = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        return Path.Combine(user is { Length: > 0 } && Path.IsPathRooted(user) ? user : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "kaslrmt");
    }
}
