using System.Runtime.InteropServices;

namespace KaslrMt.Tenants;

/// <summary>The directory of a host's table, identity and keys: private to its user.</summary>
public static partial class StateDirectory
{
    /// <summary>The environment variable that names it.</summary>
    public const string Variable = "KASLRMT_STATE_DIR";

    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>
    /// Returns the state directory's path: <c>$KASLRMT_STATE_DIR</c>; for root <c>/var/lib/kaslrmt</c>; else <c>$XDG_STATE_HOME/kaslrmt</c> or <c>~/.local/state/kaslrmt</c>.
    /// </summary>
    public static string Find()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } configured)
        {
            return Path.GetFullPath(configured);
        }

        if (EffectiveUser() == 0)
        {
            return "/var/lib/kaslrmt";
        }

        // The XDG specification has relative paths ignored.
        string? state = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return Path.Combine(state is ['/', ..] ? state : Path.Combine(home, ".local", "state"), "kaslrmt");
    }

    /// <summary>Creates the directory with mode 0700 where it is missing.</summary>
    /// <returns>The path.</returns>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.StoreExposed"/> when others may write to it, <see cref="TenantErrors.StoreFailed"/>.</exception>
    public static string Ensure(string path)
    {
        try
        {
            UnixFileMode mode = Directory.CreateDirectory(path, Private).UnixFileMode;

            // A user that may write to the directory may put another database there.
            return (mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) == 0
                ? path
                : throw new KaslrMtException(
                    TenantErrors.StoreExposed, $"others may write to the state directory {path}", $"chmod it to 0700, or name another by {Variable}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                TenantErrors.StoreFailed, $"the state directory {path} cannot be made ({e.Message})", $"name another by {Variable}", e);
        }
    }

    [LibraryImport("libc", EntryPoint = "geteuid")]
    internal static partial uint EffectiveUser();
}
