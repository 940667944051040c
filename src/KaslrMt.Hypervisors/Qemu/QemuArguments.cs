using System.Globalization;

namespace KaslrMt.Hypervisors;

/// <summary>Builds QEMU's command line.</summary>
internal static class QemuArguments
{
    /// <summary>The arguments for a VM.</summary>
    /// <param name="settings">What the VM is to be.</param>
    /// <param name="name">The VM's name.</param>
    /// <param name="folder">The VM's folder. The pid file in it marks the process as the folder's.</param>
    /// <param name="monitors">The monitor sockets' addresses.</param>
    /// <param name="consoleSocket">The console socket's address, where the console goes to a socket.</param>
    internal static List<string> Build(
        MachineDefinition settings, string name, string folder, IEnumerable<string> monitors, string? consoleSocket)
    {
        // -nodefaults: no floppy, CD-ROM, network card or display the user did not ask for; each costs boot time and memory.
        List<string> arguments =
        [
            "-name", $"guest={name}", "-pidfile", LeftoverQemu.PidFile(folder), "-no-user-config", "-nodefaults", "-display", "none",
            "-M", settings.Machine.Argument, "-accel", AcceleratorOf(settings),
            "-m", string.Create(CultureInfo.InvariantCulture, $"{settings.Memory.Bytes / ByteSize.MiB}M"),
            "-smp", settings.Cpus.ToString(CultureInfo.InvariantCulture),
        ];
        if (!settings.UserArguments.SetsCpu)
        {
            arguments.AddRange(["-cpu", settings.Accelerator.CpuModel]);
        }

        int number = 0;
        foreach (string socket in monitors)
        {
            string id = string.Create(CultureInfo.InvariantCulture, $"kaslrmt-monitor{number++}");
            arguments.AddRange(["-chardev", $"socket,id={id},path={Escape(socket)},server=on,wait=off", "-mon", $"chardev={id},mode=control"]);
        }

        // The events' own monitor: it reports to the folder whether or not an owner listens.
        string events = QemuEventFile.Device;
        arguments.AddRange(["-chardev", $"pipe,id={events},path={Escape(QemuEventFile.PipePath(folder))}", "-mon", $"chardev={events},mode=control"]);
        if (Console(settings.Console, consoleSocket) is { } console)
        {
            arguments.AddRange(["-chardev", console, "-serial", "chardev:kaslrmt-console"]);
        }

        if (settings.Kernel is not null)
        {
            arguments.AddRange(["-kernel", settings.Kernel]);
            AddPair("-initrd", settings.Initrd);
            AddPair("-append", settings.HasGate ? null : CommandLine(settings));
        }

        if (settings.AwaitsMigration)
        {
            arguments.AddRange(["-incoming", "defer"]);
        }

        // Through the gate every reset gets new per-VM bases. Without one a reset must end QEMU: the owner then starts a new one.
        if (!settings.HasGate)
        {
            arguments.Add("-no-reboot");
        }

        if (settings.StartPaused)
        {
            arguments.Add("-S");
        }

        if (settings.RunAs is not null)
        {
            // As libvirt does: what a guest that took over its QEMU could do next.
            arguments.AddRange(["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]);
        }

        arguments.AddRange(settings.UserArguments.All);
        return arguments;

        void AddPair(string option, string? value)
        {
            if (value is not null)
            {
                arguments.AddRange([option, value]);
            }
        }
    }

    /// <summary>The command line the guest gets.</summary>
    internal static string? CommandLine(MachineDefinition settings) =>
        GuestClock.Complete(settings.CommandLine, settings.Machine, settings.Accelerator, GuestClock.HostTscKilohertz);

    // signal=off would hand Ctrl-C to the guest; the terminal's Ctrl-C must reach the owner.
    private static string AcceleratorOf(MachineDefinition settings) =>
        settings.TranslatedCode is ByteSize most && settings.Accelerator.Kind == Accelerator.Tcg
            ? string.Create(CultureInfo.InvariantCulture, $"{settings.Accelerator.Argument},tb-size={most.Bytes / ByteSize.MiB}")
            : settings.Accelerator.Argument;

    private static string? Console(SerialConsole console, string? socket) =>
        console.UsesStandardStreams ? "stdio,id=kaslrmt-console,signal=on"
        : console.FilePath is { } file ? $"file,id=kaslrmt-console,path={Escape(file)}{(console.Appends ? ",append=on" : "")}"
        : socket is not null ? $"socket,id=kaslrmt-console,path={Escape(socket)},server=on,wait=off"
        : null;

    // QemuOpts: a comma ends a value unless doubled.
    private static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);
}
