using System.Runtime.InteropServices;

namespace KaslrMt;

/// <summary>The memory calls of libc (<c>mmap(2)</c>, <c>madvise(2)</c>) with Linux's x86-64 constants.</summary>
internal static partial class LinuxMemory
{
    internal const int ProtRead = 0x1;
    internal const int ProtWrite = 0x2;
    internal const int MapPrivate = 0x02;
    internal const int MapAnonymous = 0x20;
    internal const int AdviseHugePage = 14;
    internal const int AdviseDoNotDump = 16;

    /// <summary>What <c>mmap</c> returns when it fails: (void *)-1.</summary>
    internal const nint MapFailed = -1;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    internal static partial nint Map(nint address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    internal static partial int Unmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    internal static partial int Advise(nint address, nuint length, int advice);
}
