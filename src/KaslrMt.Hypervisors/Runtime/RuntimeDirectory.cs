using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>A VM another command can see: its folder's state, and whether its owner lives.</summary>
/// <param name="Name">The VM's name.</param>
/// <param name="State">What its owner wrote; null while it is starting.</param>
/// <param name="Folder">Its folder.</param>
public sealed record RunningVm(string Name, VmState? State, string Folder);

/// <summary>Where VMs keep sockets, images and state: one private folder for each running VM.</summary>
public sealed class RuntimeDirectory
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const int ClaimAttempts = 64;

    private RuntimeDirectory(string path) => Path = path;

    /// <summary>The directory, mode 0700, this user's.</summary>
    public string Path { get; }

    /// <summary>
    /// Opens, creating it if needed, <c>$KASLRMT_RUNTIME_DIR</c>, else <c>/run/kaslrmt</c> for root, else <c>$XDG_RUNTIME_DIR/kaslrmt</c>, else
    /// <c>/tmp/kaslrmt-UID</c>.
    /// </summary>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.RuntimeDirectoryUnsafe"/> when it is a link, another user's, or open to others;
    /// <see cref="HypervisorErrors.RuntimeDirectoryFailed"/> when it cannot be made.
    /// </exception>
    public static RuntimeDirectory Open() => Open(DefaultPath(Environment.GetEnvironmentVariable, Linux.GetEffectiveUserId()));

    /// <summary>Opens the directory at a path; otherwise as <see cref="Open()"/>.</summary>
    public static RuntimeDirectory Open(string path)
    {
        if (!System.IO.Path.IsPathRooted(path))
        {
            throw new KaslrMtException(
                HypervisorErrors.RuntimeDirectoryUnsafe, $"the runtime directory '{Printable.Of(path)}' is not an absolute path");
        }

        string full = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(path));
        try
        {
            Directory.CreateDirectory(full, Private);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                HypervisorErrors.RuntimeDirectoryFailed,
                $"the runtime directory {full} cannot be made ({Printable.Of(e.Message)})",
                "set KASLRMT_RUNTIME_DIR to a directory of yours",
                e);
        }

        CheckPrivate(full);
        return new RuntimeDirectory(full);
    }

    /// <summary>Takes a name for a VM this process is to run. A dead owner's leftovers under it are cleaned first.</summary>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.NameInvalid"/>; <see cref="HypervisorErrors.NameInUse"/>, naming the process that has it;
    /// <see cref="HypervisorErrors.RuntimeDirectoryFailed"/>.
    /// </exception>
    public VmFolder Claim(string name)
    {
        string folder = System.IO.Path.Combine(Path, VmName.Check(name));
        for (int attempt = 0; attempt < ClaimAttempts; attempt++)
        {
            // Not Directory.CreateDirectory: it throws when the folder it finds there is removed before its second look.
            if (Linux.MakeDirectory(folder, (uint)Private) != 0 && Marshal.GetLastPInvokeError() is var error and not Linux.EEXIST)
            {
                throw new KaslrMtException(
                    HypervisorErrors.RuntimeDirectoryFailed, $"the folder {folder} cannot be made ({Marshal.GetPInvokeErrorMessage(error)})");
            }

            SafeFileHandle? held = VmLock.TryTake(VmFolder.LockIn(folder), create: true, out bool vanished);
            if (held is not null)
            {
                CheckPrivate(folder);
                if (LeftoverQemu.GoesOn(VmFolder.ReadState(folder), folder))
                {
                    held.Dispose();
                    throw InUse(name, "nobody at the moment: its supervisor died");
                }

                LeftoverQemu.EndOf(folder);
                VmFolder.Empty(folder);
                return new VmFolder(folder, held);
            }

            VmState? state = VmFolder.ReadState(folder);
            if (!vanished && state is not null && ProcessIdentity.StartTime(state.OwnerProcess) == state.OwnerStartTime)
            {
                throw InUse(name, string.Create(CultureInfo.InvariantCulture, $"process {state.OwnerProcess}"));
            }

            // Held by an owner that has not written its state yet, or by a command that cleans up a dead owner's: the next look tells.
            if (!vanished)
            {
                Thread.Sleep(10);
            }
        }

        throw InUse(name, "another process");
    }

    /// <summary>Takes over a detached VM whose owner died. Of several that try, one gets it.</summary>
    /// <returns>The folder as it was left, its state naming this process as the owner; null when there is no such VM (any more), or it has an owner.</returns>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.NameInvalid"/>.</exception>
    public VmFolder? TryAdopt(string name)
    {
        string folder = System.IO.Path.Combine(Path, VmName.Check(name));
        for (int attempt = 0; attempt < ClaimAttempts; attempt++)
        {
            SafeFileHandle? held = VmLock.TryTake(VmFolder.LockIn(folder), create: false, out bool vanished);
            VmState? state = VmFolder.ReadState(folder);
            if (held is not null && LeftoverQemu.GoesOn(state, folder))
            {
                if (state is { ProcessId: null })
                {
                    // It was being booted anew: a QEMU that was not noted may run by now, and nobody knows what it was told.
                    LeftoverQemu.EndAllOf(folder);
                }

                // At once, before anything that takes time: others see whose it is.
                VmFolder adopted = new(folder, held);
                adopted.WriteState(state!.TakenOver());
                return adopted;
            }

            // Its owner lives, or it has ended, and the next sweep finds it.
            held?.Dispose();
            if (held is not null || vanished || state is { OwnerLives: true })
            {
                return null;
            }

            // Another command looks at it, for a moment.
            Thread.Sleep(10);
        }

        return null;
    }

    /// <summary>Ends what owners that died left behind: their QEMU, sockets, images and folders. Detached VMs go on.</summary>
    /// <param name="orphans">Takes the names of detached VMs that go on without an owner: see <see cref="TryAdopt"/>.</param>
    /// <param name="ended">Takes the detached VMs that ended while they had no owner, and why. Their folders are gone afterwards: only this sweep tells.</param>
    /// <returns>The names that were cleaned up.</returns>
    public IReadOnlyList<string> Sweep(ICollection<string>? orphans = null, ICollection<EndedVm>? ended = null)
    {
        List<string> swept = [];
        foreach (string folder in Folders())
        {
            // Without a lock file it is a claim between mkdir and lock, or a removal between its last two steps: not ours to judge by age,
            // and empty in either case. Removing an empty folder harms neither.
            using SafeFileHandle? held = VmLock.TryTake(VmFolder.LockIn(folder), create: false, out bool vanished);
            if (held is null && !vanished && orphans is null)
            {
                continue;
            }

            VmState? state = VmFolder.ReadState(folder);

            // Another sweep may hold the lock for a moment: an orphan is one to each of them.
            if ((held is not null || state is { OwnerLives: false }) && LeftoverQemu.GoesOn(state, folder))
            {
                orphans?.Add(System.IO.Path.GetFileName(folder));
            }
            else if (held is not null)
            {
                if (state is { Detached: true, ProcessId: not null })
                {
                    ended?.Add(new EndedVm(System.IO.Path.GetFileName(folder), state, QemuEventFile.ReadEnd(folder)));
                }

                LeftoverQemu.EndOf(folder);
                VmFolder.Remove(folder);
                swept.Add(System.IO.Path.GetFileName(folder));
            }
            else if (vanished)
            {
                TryRemoveEmpty(folder);
            }
        }

        return swept;
    }

    /// <summary>The VMs whose owners live, and detached ones, by name. Sweeps first.</summary>
    public IReadOnlyList<RunningVm> List()
    {
        Sweep();
        return ListSwept();
    }

    /// <summary>The same for a caller that has just swept.</summary>
    public IReadOnlyList<RunningVm> ListSwept() =>
        [.. Folders()
            .Where(folder => File.Exists(VmFolder.LockIn(folder)))
            .Select(folder => new RunningVm(
                System.IO.Path.GetFileName(folder), ReadSettledState(folder), folder))
            .OrderBy(vm => vm.Name, StringComparer.Ordinal)];

    /// <summary>Gets the directory in which earlier versions kept the VMs of root's session, <c>$XDG_RUNTIME_DIR/kaslrmt</c>, if VMs are in it; else null.</summary>
    public static string? FindEarlier() => FindEarlier(Environment.GetEnvironmentVariable, Linux.GetEffectiveUserId());

    internal static string? FindEarlier(Func<string, string?> environment, uint user)
    {
        if (user != 0 || environment("KASLRMT_RUNTIME_DIR") is { Length: > 0 } || environment("XDG_RUNTIME_DIR") is not { Length: > 0 } session)
        {
            return null;
        }

        string earlier = System.IO.Path.Combine(session, "kaslrmt");
        return Directory.Exists(earlier) && Directory.EnumerateDirectories(earlier).Any(folder => File.Exists(VmFolder.LockIn(folder))) ? earlier : null;
    }

    internal static string DefaultPath(Func<string, string?> environment, uint user)
    {
        if (environment("KASLRMT_RUNTIME_DIR") is { Length: > 0 } chosen)
        {
            return chosen;
        }

        // Root's VMs are the host's, whether root has a session or is systemd's service.
        if (user == 0)
        {
            return "/run/kaslrmt";
        }

        return environment("XDG_RUNTIME_DIR") is { Length: > 0 } session
            ? System.IO.Path.Combine(session, "kaslrmt")
            : string.Create(CultureInfo.InvariantCulture, $"/tmp/kaslrmt-{user}");
    }

    // A dead owner in the state of a folder that somebody holds: it is being adopted, and the next look tells by whom.
    private static VmState? ReadSettledState(string folder)
    {
        VmState? state = VmFolder.ReadState(folder);
        for (int attempt = 0; attempt < ClaimAttempts && state is { Detached: true, OwnerLives: false }; attempt++)
        {
            using (SafeFileHandle? held = VmLock.TryTake(VmFolder.LockIn(folder), create: false, out bool vanished))
            {
                if (held is not null || vanished)
                {
                    break;
                }
            }

            Thread.Sleep(10);
            state = VmFolder.ReadState(folder);
        }

        return state;
    }

    private static KaslrMtException InUse(string name, string owner) => new(
        HypervisorErrors.NameInUse, $"a VM named '{name}' already runs, owned by {owner}", "stop it, or take another name");

    private static void TryRemoveEmpty(string folder)
    {
        try
        {
            Directory.Delete(folder);
        }
        catch (IOException)
        {
            // Not empty any more: its owner is at work.
        }
    }

    private static void CheckPrivate(string path)
    {
        if (!VmLock.TryStatus(path, out Linux.FileStatus status))
        {
            throw new KaslrMtException(HypervisorErrors.RuntimeDirectoryFailed, $"{path} cannot be examined");
        }

        const int TypeMask = 0xf000, DirectoryType = 0x4000, OpenToOthers = 0x36;
        string? fault = (status.Mode & TypeMask) != DirectoryType ? "is not a directory (or is a symbolic link)"
            : status.UserId != Linux.GetEffectiveUserId() ? $"belongs to user {status.UserId}"
            : (status.Mode & OpenToOthers) != 0 ? $"is open to others (mode {Convert.ToString(status.Mode & 0x1ff, 8)})"
            : null;
        if (fault is not null)
        {
            throw new KaslrMtException(
                HypervisorErrors.RuntimeDirectoryUnsafe, $"{path} {fault}", "remove it, chmod it to 0700, or set KASLRMT_RUNTIME_DIR");
        }
    }

    private IEnumerable<string> Folders() => Directory.EnumerateDirectories(Path).Where(folder => VmName.IsLegal(System.IO.Path.GetFileName(folder)));
}
