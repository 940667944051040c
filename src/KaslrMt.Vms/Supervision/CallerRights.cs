using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using KaslrMt.Hypervisors;

namespace KaslrMt.Vms;

/// <summary>Opens files with a caller's rights in place of this process's: the agent is no deputy.</summary>
/// <remarks>
/// Linux keeps file-system rights for each thread. The calls are made bare, for libc's wrappers of them change all threads, and on a thread of its own, which ends with them.
/// A user that is not 0 has no capability over files (capabilities(7), "Effect of user ID changes").
/// </remarks>
internal static partial class CallerRights
{
    private const nint SetGroupsCall = 116; // asm/unistd_64.h
    private const nint SetFileUserCall = 122;
    private const nint SetFileGroupCall = 123;

    /// <summary>Does a piece of work on files.</summary>
    /// <param name="user">The caller; null for this process's own rights.</param>
    /// <param name="work">The work: synchronous, on files alone.</param>
    /// <exception cref="KaslrMtException">KMT9027: the rights cannot be taken; the work was not begun.</exception>
    public static T Run<T>(ProcessUser? user, Func<T> work)
    {
        if (user is null)
        {
            return work();
        }

        T? result = default;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                Take(user);
                result = work();
            }
            catch (Exception error)
            {
                failure = ExceptionDispatchInfo.Capture(error);
            }
        })
        {
            IsBackground = true,
            Name = "caller's rights",
        };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result!;
    }

    private static unsafe void Take(ProcessUser user)
    {
        uint[] groups = [.. user.Groups];
        fixed (uint* first = groups)
        {
            nint done = Call(SetGroupsCall, groups.Length, (nint)first);
            _ = Call(SetFileGroupCall, (nint)user.Group, 0);
            _ = Call(SetFileUserCall, (nint)user.User, 0);

            // setfsuid(2) reports no failure: what it is now is asked with a number that is none.
            if (done != 0 || Call(SetFileGroupCall, -1, 0) != (nint)user.Group || Call(SetFileUserCall, -1, 0) != (nint)user.User)
            {
                throw new KaslrMtException(VmErrors.RightsRefused, $"the rights of user {user.User} cannot be taken", "only root's agent serves other users");
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, nint a, nint b);
}
