using System.Diagnostics;

namespace KaslrMt.Agent.Tests;

/// <summary>Small file systems.</summary>
internal static class Mount
{
    /// <summary>Mounts a file system in memory over a folder.</summary>
    public static void Memory(string folder, string size) => Run("mount", "-t", "tmpfs", "-o", $"size={size},mode=0700", "tmpfs", folder);

    public static void Remove(string folder) => Run("umount", "--lazy", folder);

    public static string Filler(string folder) => Path.Combine(folder, ".filler");

    /// <summary>Leaves no byte free.</summary>
    public static void Fill(string folder)
    {
        using FileStream filler = new(Filler(folder), FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
        try
        {
            while (true)
            {
                filler.Write(new byte[4096]);
            }
        }
        catch (IOException)
        {
            // Full.
        }
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
