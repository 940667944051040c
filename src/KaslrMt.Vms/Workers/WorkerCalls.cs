using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms.Workers;

/// <summary>The calls of libc that starting a worker takes. Failures are reported as in C, those of <c>posix_spawn</c> as an errno.</summary>
internal static unsafe partial class WorkerCalls
{
    internal const int Kill = 9;
    internal const short Readable = 1; // POLLIN
    internal const int CloseOnExec = 0x80000;

    private const string C = "libc";
    private const uint MemoryFileCloseOnExec = 1;
    private const nint OpenProcessCall = 434; // pidfd_open, asm/unistd_64.h

    /// <summary>A new file in memory without a name.</summary>
    internal static SafeFileHandle? CreateMemoryFile(string name) => Handle(MemoryFileCreate(name, MemoryFileCloseOnExec));

    /// <summary>A descriptor that becomes readable when the process has ended.</summary>
    internal static SafeFileHandle? OpenProcess(int process) => Handle((int)Call(OpenProcessCall, process, 0));

    [LibraryImport(C, EntryPoint = "pipe2", SetLastError = true)]
    internal static partial int Pipe(int* ends, int flags);

    [LibraryImport(C, EntryPoint = "poll", SetLastError = true)]
    internal static partial int Poll(PollEntry* entries, nuint count, int milliseconds);

    [LibraryImport(C, EntryPoint = "read", SetLastError = true)]
    internal static partial nint Read(SafeFileHandle descriptor, byte* bytes, nuint length);

    [LibraryImport(C, EntryPoint = "kill", SetLastError = true)]
    internal static partial int Signal(int process, int signal);

    [LibraryImport(C, EntryPoint = "waitpid", SetLastError = true)]
    internal static partial int Wait(int process, int* status, int options);

    [LibraryImport(C, EntryPoint = "posix_spawn", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Spawn(int* process, string path, void* actions, void* attributes, byte** arguments, byte** environment);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_init")]
    internal static partial int ActionsInit(void* actions);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_destroy")]
    internal static partial int ActionsDestroy(void* actions);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_adddup2")]
    internal static partial int ActionsDuplicate(void* actions, int from, int to);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_addclosefrom_np")]
    internal static partial int ActionsCloseFrom(void* actions, int first);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_addchdir_np", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int ActionsChangeFolder(void* actions, string folder);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_init")]
    internal static partial int AttributesInit(void* attributes);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_destroy")]
    internal static partial int AttributesDestroy(void* attributes);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setflags")]
    internal static partial int AttributesFlags(void* attributes, short flags);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setsigmask")]
    internal static partial int AttributesMask(void* attributes, void* signals);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setsigdefault")]
    internal static partial int AttributesDefault(void* attributes, void* signals);

    [LibraryImport(C, EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemoryFileCreate(string name, uint flags);

    [LibraryImport(C, EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Call(nint number, nint a, nint b);

    private static SafeFileHandle? Handle(int descriptor) => descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);

    /// <summary><c>struct pollfd</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct PollEntry
    {
        internal int Descriptor;
        internal short Events;
        internal short Returned;
    }
}
