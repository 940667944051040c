using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>A claimed VM folder: its files, and the lock that proves its owner lives. Disposing removes the folder.</summary>
public sealed class VmFolder : IDisposable
{
    private const long LargestState = 64 << 10;

    private readonly SafeFileHandle _lock;
    private bool _disposed;

    internal VmFolder(string path, SafeFileHandle held)
    {
        Path = path;
        _lock = held;
    }

    /// <summary>The VM's name.</summary>
    public string Name => System.IO.Path.GetFileName(Path);

    /// <summary>The folder, mode 0700.</summary>
    public string Path { get; }

    /// <summary>The monitor socket for other commands.</summary>
    internal string MonitorSocket => MonitorSocketIn(Path);

    /// <summary>The owner's own monitor socket: QEMU serves one client for each.</summary>
    internal string OwnerSocket => System.IO.Path.Combine(HypervisorPathIn(Path), "owner.sock");

    /// <summary>The serial console's socket, where the VM has one.</summary>
    public string ConsoleSocket => System.IO.Path.Combine(HypervisorPathIn(Path), "console.sock");

    /// <summary>Where the gate lies while the hypervisor starts and reads it.</summary>
    internal string GatePath => System.IO.Path.Combine(Path, "gate.elf");

    /// <summary>Ends the VM's hypervisor at once, whatever it is doing: the process that the state names, and any other that provably is this folder's.</summary>
    public void EndHypervisor() => LeftoverQemu.EndOf(Path);

    /// <summary>Replaces the state in one step: a reader sees the old one or the new one, whole.</summary>
    public void WriteState(VmState state)
    {
        string temporary = System.IO.Path.Combine(Path, "state.json.new");
        using (FileStream stream = CreatePrivate(temporary))
        {
            JsonSerializer.Serialize(stream, state, VmStateJson.Default.VmState);
            stream.Flush(flushToDisk: true);
        }

        File.Move(temporary, StateIn(Path), overwrite: true);
    }

    /// <summary>The state that was written last, or null when there is none.</summary>
    public VmState? ReadState() => ReadState(Path);

    /// <summary>Lets go of the folder and leaves it as it is, for another owner to adopt.</summary>
    public void Abandon()
    {
        _disposed = true;
        _lock.Dispose();
    }

    /// <summary>
    /// Makes a folder of its own for a hypervisor that runs as another user: that user's alone. All else of the VM stays this user's; the hypervisor may pass through, and read nothing.
    /// </summary>
    /// <param name="user">The hypervisor's user.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.RuntimeDirectoryFailed"/>: this process may not give files away.</exception>
    internal void OpenTo(ProcessUser user)
    {
        string own = System.IO.Path.Combine(Path, HypervisorFolder);
        Directory.CreateDirectory(own, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.SetUnixFileMode(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        Give(own, user);
    }

    /// <summary>Gives a file of this folder to the hypervisor's user.</summary>
    /// <inheritdoc cref="OpenTo"/>
    internal static void Give(string path, ProcessUser user)
    {
        if (Native.Linux.ChangeOwner(path, user.User, user.Group) != 0)
        {
            throw new KaslrMtException(
                HypervisorErrors.RuntimeDirectoryFailed,
                $"{path} cannot be given to user {user.User} ({System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(System.Runtime.InteropServices.Marshal.GetLastPInvokeError())})",
                "only root's agent runs VMs as other users");
        }
    }

    /// <summary>Lets the hypervisor connect to a socket of this folder: gives the socket to the hypervisor's user, where that is another than this process's.</summary>
    /// <param name="path">The socket.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.RuntimeDirectoryFailed"/>.</exception>
    public void LetHypervisorConnect(string path)
    {
        string own = HypervisorPathIn(Path);
        if (own != Path && VmLock.TryStatus(own, out Native.Linux.FileStatus status))
        {
            Give(path, new ProcessUser(status.UserId, status.GroupId, []));
        }
    }

    /// <summary>Gets the path of a file that the hypervisor makes.</summary>
    /// <param name="name">The file's name.</param>
    public string HypervisorFile(string name) => System.IO.Path.Combine(HypervisorPathIn(Path), name);

    /// <summary>Removes the folder with all it holds and gives the name back.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        Remove(Path);
        _lock.Dispose();
    }

    private const string HypervisorFolder = "hypervisor";

    /// <summary>Gets where the hypervisor's own files are: a folder of its user's, or the VM's folder where it runs as this process's user.</summary>
    internal static string HypervisorPathIn(string folder)
    {
        string own = System.IO.Path.Combine(folder, HypervisorFolder);
        return Directory.Exists(own) ? own : folder;
    }

    internal static string MonitorSocketIn(string folder) => System.IO.Path.Combine(HypervisorPathIn(folder), "qmp.sock");

    internal static string StateIn(string folder) => System.IO.Path.Combine(folder, "state.json");

    internal static string LockIn(string folder) => System.IO.Path.Combine(folder, "lock");

    /// <summary>The state in a folder, or null when there is none or it is not one.</summary>
    internal static VmState? ReadState(string folder)
    {
        try
        {
            using FileStream stream = new(StateIn(folder), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return stream.Length > LargestState ? null : JsonSerializer.Deserialize(stream, VmStateJson.Default.VmState);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <summary>Removes a folder whose lock the caller holds. The lock goes last, so that a killed removal is begun again by the next.</summary>
    internal static void Remove(string folder)
    {
        try
        {
            Empty(folder);
            File.Delete(LockIn(folder));
            Directory.Delete(folder);
        }
        catch (DirectoryNotFoundException)
        {
            // Already gone, which is what was wanted.
        }
        catch (IOException)
        {
            // Somebody claimed the name anew between the last two steps: the folder is theirs now.
        }
    }

    /// <summary>Removes all but the lock.</summary>
    internal static void Empty(string folder)
    {
        foreach (FileSystemInfo entry in new DirectoryInfo(folder).EnumerateFileSystemInfos().Where(entry => entry.Name != "lock"))
        {
            if (entry is DirectoryInfo { LinkTarget: null } directory)
            {
                directory.Delete(recursive: true);
            }
            else
            {
                entry.Delete();
            }
        }
    }

    private static FileStream CreatePrivate(string path) => new(path, new FileStreamOptions
    {
        Mode = FileMode.Create,
        Access = FileAccess.ReadWrite,
        Share = FileShare.Read,
        UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
    });
}
