using System.Runtime.InteropServices;

namespace KaslrMt.Agent;

/// <summary>The users of this process.</summary>
internal static partial class Users
{
    /// <summary>Gets the effective user.</summary>
    public static uint Effective => EffectiveUser();

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint EffectiveUser();
}
