using System.Globalization;
using System.Text;

namespace KaslrMt.Vms;

/// <summary>A supervisor's log in the VM's folder: mode 0600, two files of bounded size, gone with the VM. Until the VM runs, lines go to who started it too.</summary>
/// <param name="folder">The VM's folder.</param>
/// <param name="starter">Who started it.</param>
internal sealed class SupervisorLog(string folder, SupervisorReport starter) : TextWriter
{
    /// <summary>The log's name in the VM's folder; the older half has <c>.1</c> behind it.</summary>
    public const string FileName = "log";

    /// <summary>What one file may hold: a guest can reboot for ever.</summary>
    public const int LargestFile = 128 << 10;

    private readonly Lock _gate = new();

    public override Encoding Encoding => Encoding.UTF8;

    public override void Write(char value) => throw new NotSupportedException("the log takes lines");

    public override Task WriteLineAsync(string? value)
    {
        WriteLine(value);
        return Task.CompletedTask;
    }

    public override void WriteLine(string? value)
    {
        lock (_gate)
        {
            starter.Line(value ?? "");
            byte[] line = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{DateTimeOffset.UtcNow:yyyy-MM-ddTHH:mm:ssZ} {value}\n"));
            try
            {
                string path = Path.Combine(folder, FileName);
                if (new FileInfo(path) is { Exists: true } file && file.Length + line.Length > LargestFile)
                {
                    File.Move(path, path + ".1", overwrite: true);
                }

                using var stream = new FileStream(path, new FileStreamOptions
                {
                    Mode = FileMode.Append,
                    Access = FileAccess.Write,
                    UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                    BufferSize = 0,
                });
                stream.Write(line);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // A full disk, or the folder's removal at the VM's end: no line of a log is worth a VM.
            }
        }
    }
}
