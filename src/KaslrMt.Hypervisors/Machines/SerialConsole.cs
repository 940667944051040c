namespace KaslrMt.Hypervisors;

/// <summary>Where the guest's first serial port (<c>ttyS0</c>) goes.</summary>
public sealed record SerialConsole
{
    private SerialConsole()
    {
    }

    /// <summary>To nowhere.</summary>
    public static SerialConsole None { get; } = new();

    /// <summary>To this process's standard input and output.</summary>
    public static SerialConsole Standard { get; } = new() { UsesStandardStreams = true };

    internal bool UsesStandardStreams { get; private init; }

    internal string? FilePath { get; private init; }

    internal bool Appends { get; private init; }

    internal string? SocketPath { get; private init; }

    /// <summary>To a file, emptied first.</summary>
    public static SerialConsole ToFile(string path) => new() { FilePath = path };

    /// <summary>To a Unix socket that QEMU listens on; see <see cref="VmFolder.ConsoleSocket"/>.</summary>
    public static SerialConsole ToSocket(string path) => new() { SocketPath = path };

    /// <summary>The same for a guest's next boot: a file keeps what was printed before, such as the panic that made the guest reboot.</summary>
    public SerialConsole Continued() => this with { Appends = FilePath is not null };
}
