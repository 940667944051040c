using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt;

/// <summary>What tells a file from every other one and from its own earlier contents, without reading it.</summary>
/// <remarks>
/// Device, inode, size, modification and change time. Nobody can set the change time back, so a changed file has another identity,
/// unless it was changed within the clock's granularity: hence <see cref="IsSettled"/>.
/// </remarks>
/// <param name="Text">The identity as text, one line.</param>
/// <param name="Changed">The change time.</param>
internal readonly partial record struct FileIdentity(string Text, DateTimeOffset Changed)
{
    private const int EmptyPath = 0x1000; // AT_EMPTY_PATH
    private const uint BasicStats = 0x7ff; // STATX_BASIC_STATS

    // The clock that stamps files ticks every 1 to 10 ms; a margin for network file systems.
    private static readonly TimeSpan Granularity = TimeSpan.FromSeconds(2);

    /// <summary>Whether a later change would show: the file was last changed a while ago.</summary>
    public bool IsSettled => DateTimeOffset.UtcNow - Changed > Granularity;

    /// <summary>The identity of an open file; null where the kernel does not tell.</summary>
    public static FileIdentity? Of(SafeFileHandle file)
    {
        if (StatX(file, "", EmptyPath, BasicStats, out Status status) != 0)
        {
            return null;
        }

        string text = string.Create(
            CultureInfo.InvariantCulture,
            $"{status.DeviceMajor}:{status.DeviceMinor} {status.Inode} {status.Size} {status.Modified.Seconds}.{status.Modified.Nanoseconds:d9} {status.Changed.Seconds}.{status.Changed.Nanoseconds:d9}");
        return new FileIdentity(text, DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(status.Changed.Seconds, 0, 253402300799)));
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(SafeFileHandle directory, string path, int flags, uint mask, out Status status);

    /// <summary>struct statx_timestamp.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Timestamp
    {
        public long Seconds;
        public uint Nanoseconds;
        public int Reserved;
    }

    /// <summary>struct statx (statx(2)), 256 bytes; what is not needed is padding.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct Status
    {
        [FieldOffset(20)]
        public uint Owner;

        [FieldOffset(28)]
        public ushort Mode;

        [FieldOffset(32)]
        public ulong Inode;

        [FieldOffset(40)]
        public ulong Size;

        [FieldOffset(96)]
        public Timestamp Changed;

        [FieldOffset(112)]
        public Timestamp Modified;

        [FieldOffset(136)]
        public uint DeviceMajor;

        [FieldOffset(140)]
        public uint DeviceMinor;
    }
}
