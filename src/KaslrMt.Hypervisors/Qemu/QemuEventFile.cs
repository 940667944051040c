using System.Text;
using System.Text.Json;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>The file in a VM's folder into which QEMU itself writes its events: QEMU keeps the reason of its end for an owner that was not there.</summary>
/// <remarks>
/// QEMU has a QMP monitor on a <c>pipe</c> character device for it, whose two ends are ordinary files here: <c>events.in</c> holds the one command
/// that makes QMP report events, and QEMU goes on after its end; <c>events.out</c> takes what QEMU writes. (<c>-chardev file,input-path=</c> came
/// after 7.2.) A guest can cause events without end, and a guest that took over its QEMU can write anything: of the file only a bounded tail is read, and
/// of that only whole lines that are the events looked for.
/// </remarks>
internal static class QemuEventFile
{
    /// <summary>The most that is read, and the most that a living owner leaves on the disk, in bytes.</summary>
    internal const int Kept = 64 << 10;

    private const int LongestLine = 4096;
    private const int MostAttempts = 1000;

    /// <summary>Gets the id of the character device.</summary>
    internal static string Device => "kaslrmt-events";

    /// <summary>Returns what QEMU's <c>pipe</c> device takes as its path: QEMU adds <c>.in</c> and <c>.out</c>.</summary>
    internal static string PipePath(string folder) => Path.Combine(VmFolder.HypervisorPathIn(folder), "events");

    /// <summary>Returns the file that QEMU writes.</summary>
    internal static string OutputPath(string folder) => PipePath(folder) + ".out";

    /// <summary>Makes both files anew, mode 0600, for a QEMU that is about to start.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.RuntimeDirectoryFailed"/>.</exception>
    internal static void Create(string folder, ProcessUser? user = null)
    {
        try
        {
            Write(PipePath(folder) + ".in", "{\"execute\":\"qmp_capabilities\"}\n"u8);
            Write(OutputPath(folder), []);
            if (user is not null)
            {
                VmFolder.Give(PipePath(folder) + ".in", user);
                VmFolder.Give(OutputPath(folder), user);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                HypervisorErrors.RuntimeDirectoryFailed, $"the file for QEMU's events cannot be made in {folder} ({Printable.Of(error.Message)})", inner: error);
        }
    }

    /// <summary>Returns why the QEMU that ran last in the folder ended.</summary>
    /// <returns>The first reason that the tail of the file names; <see cref="VmEnd.Unexplained"/> without one, and without a file that can be read.</returns>
    internal static VmEnd ReadEnd(string folder)
    {
        using SafeFileHandle? file = Open(OutputPath(folder), Linux.OpenForReading);
        if (file is null)
        {
            return VmEnd.Unexplained;
        }

        try
        {
            byte[] tail = new byte[Kept];
            long start = Math.Max(0, RandomAccess.GetLength(file) - Kept);
            int length = 0;
            for (int read; length < Kept && (read = RandomAccess.Read(file, tail.AsSpan(length), start + length)) > 0;)
            {
                length += read;
            }

            return Parse(tail.AsSpan(0, length));
        }
        catch (IOException)
        {
            return VmEnd.Unexplained;
        }
    }

    /// <summary>Gives the disk all of the file but its tail back. A living owner calls this; what an owner without one misses stays in the tail.</summary>
    /// <remarks>A hole, not a shorter file: QEMU writes on at its own offset, and a reason that QEMU writes at this moment is not lost.</remarks>
    internal static void Trim(string folder)
    {
        using SafeFileHandle? file = Open(OutputPath(folder), Linux.OpenForWriting);
        long excess = file is null ? 0 : RandomAccess.GetLength(file) - Kept;
        if (excess > 0)
        {
            // A file system without holes keeps the whole file: what a guest can cause is limited in rate by QEMU.
            _ = Linux.FileAllocate(file!, Linux.PunchHole, 0, excess);
        }
    }

    /// <summary>Returns the first reason that lines of events name.</summary>
    internal static VmEnd Parse(ReadOnlySpan<byte> tail)
    {
        int attempts = 0;
        while (attempts < MostAttempts && !tail.IsEmpty)
        {
            int end = tail.IndexOf((byte)'\n');
            if (end < 0)
            {
                // QEMU was killed in the middle of it.
                break;
            }

            // A hole reads as zeros.
            ReadOnlySpan<byte> line = tail[..end].Trim("\0 \t\r"u8);
            tail = tail[(end + 1)..];
            if (line.Length <= LongestLine && line.IndexOf("\"SHUTDOWN\""u8) >= 0)
            {
                attempts++;
                if (ParseLine(line) is { } found)
                {
                    return found;
                }
            }
        }

        return VmEnd.Unexplained;
    }

    private static VmEnd? ParseLine(ReadOnlySpan<byte> line)
    {
        try
        {
            Utf8JsonReader reader = new(line, new JsonReaderOptions { MaxDepth = 8 });
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            if (reader.BytesConsumed == line.Length && document.RootElement is { ValueKind: JsonValueKind.Object } message
                && message.TryGetProperty("event", out JsonElement name) && name.ValueKind == JsonValueKind.String && name.ValueEquals("SHUTDOWN"u8)
                && message.TryGetProperty("data", out JsonElement data))
            {
                ShutdownReason reason = VmExit.Explain(new QmpEvent("SHUTDOWN", data));
                return reason == ShutdownReason.Unexplained ? null : new VmEnd(reason, TimeOf(message));
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or DecoderFallbackException)
        {
            // Not a line of QEMU's, or torn at the beginning of the tail; text that is not UTF-8 is found only when it is asked for.
        }

        return null;
    }

    private static DateTimeOffset? TimeOf(JsonElement message) =>
        message.TryGetProperty("timestamp", out JsonElement time) && time.ValueKind == JsonValueKind.Object
        && time.TryGetProperty("seconds", out JsonElement whole) && whole.ValueKind == JsonValueKind.Number && whole.TryGetInt64(out long seconds)
        && time.TryGetProperty("microseconds", out JsonElement part) && part.ValueKind == JsonValueKind.Number && part.TryGetInt64(out long microseconds)
        && seconds is >= 0 and < 253402300799 && microseconds is >= 0 and < 1_000_000
            ? DateTimeOffset.FromUnixTimeSeconds(seconds).AddMicroseconds(microseconds)
            : null;

    private static void Write(string path, ReadOnlySpan<byte> content)
    {
        File.Delete(path);
        using FileStream file = new(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        file.Write(content);
    }

    // A guest that took over its QEMU can put a pipe or a link in the file's place: neither may hang or mislead this process.
    private static SafeFileHandle? Open(string path, int flags)
    {
        int descriptor = Linux.Open(path, flags, 0);
        if (descriptor < 0)
        {
            return null;
        }

        SafeFileHandle file = new(descriptor, ownsHandle: true);
        if (VmLock.IsRegular(file))
        {
            return file;
        }

        file.Dispose();
        return null;
    }
}
