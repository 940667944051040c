using System.Globalization;
using System.Text;

namespace KaslrMt.Vms;

/// <summary>
/// A VM's log in its folder: mode 0600, two files of bounded size, gone with the VM. Until the VM runs, its lines go to the caller that started it, too.
/// </summary>
/// <param name="folder">The VM's folder.</param>
/// <param name="starter">Takes the lines until <see cref="Detach"/>; or null.</param>
internal sealed class VmLog(string folder, Action<string>? starter)
{
    /// <summary>The log's name in the VM's folder; the older half has <c>.1</c> behind it.</summary>
    public const string FileName = "log";

    /// <summary>What one file may hold: a guest can reboot for ever.</summary>
    public const int LargestFile = 128 << 10;

    private readonly Lock _gate = new();
    private Action<string>? _starter = starter;

    /// <summary>The caller that started the VM is told nothing more.</summary>
    public void Detach()
    {
        lock (_gate)
        {
            _starter = null;
        }
    }

    /// <summary>Adds a line, with the time before it.</summary>
    public void WriteLine(string line)
    {
        lock (_gate)
        {
            _starter?.Invoke(line);
            byte[] bytes = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{DateTimeOffset.UtcNow:yyyy-MM-ddTHH:mm:ssZ} {line}\n"));
            try
            {
                string path = Path.Combine(folder, FileName);
                if (new FileInfo(path) is { Exists: true } file && file.Length + bytes.Length > LargestFile)
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
                stream.Write(bytes);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // A full disk, or the folder's removal at the VM's end: no line of a log is worth a VM.
            }
        }
    }
}
