namespace KaslrMt.TestSupport;

/// <summary>What the programs read from the environment, in a test process: none of it is that of the user who runs the tests.</summary>
public static class OwnDirectories
{
    /// <summary>Sets the variables, for this process.</summary>
    /// <param name="name">The test project, as the folder begins.</param>
    public static void Use(string name)
    {
        string folder = Directory.CreateTempSubdirectory($"kaslrmt-{name}-").FullName;
        Environment.SetEnvironmentVariable("KASLRMT_RUNTIME_DIR", Path.Combine(folder, "run"));
        Environment.SetEnvironmentVariable("KASLRMT_STATE_DIR", Path.Combine(folder, "state"));
        Environment.SetEnvironmentVariable("KASLRMT_CACHE_DIR", Path.Combine(folder, "cache"));
        Environment.SetEnvironmentVariable("XDG_CONFIG_HOME", Path.Combine(folder, "config"));
        Environment.SetEnvironmentVariable("KASLRMT_STORE", null);
        Environment.SetEnvironmentVariable("KASLRMT_KEK_FILE", null);
    }
}
