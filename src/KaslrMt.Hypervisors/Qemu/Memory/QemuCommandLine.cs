using System.Globalization;
using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors;

/// <summary>What the command line of somebody's QEMU says about its guest's memory and its monitor.</summary>
/// <param name="Machine">The machine type, for where RAM lies.</param>
/// <param name="Memory">RAM in bytes.</param>
/// <param name="Backends">The memory backends that RAM consists of, in order; none for QEMU's own.</param>
/// <param name="MonitorSocket">The Unix socket of its QMP monitor; null when it has none with a name.</param>
internal sealed record QemuCommandLine(QemuMachine Machine, ulong Memory, IReadOnlyList<QemuCommandLine.Backend> Backends, string? MonitorSocket)
{
    private const ulong StandardMemory = 128UL << 20;
    private const int MiBShift = 20;

    /// <summary>Reads a process's command line.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.NoQemu"/>, <see cref="HypervisorErrors.RamNotFound"/>.</exception>
    internal static QemuCommandLine Of(int processId)
    {
        string[] words = Words(processId);
        return words.Length > 0 && Path.GetFileName(words[0]) is { } program && (program.StartsWith("qemu", StringComparison.Ordinal) || program.StartsWith("kvm", StringComparison.Ordinal))
            ? Parse(words)
            : throw new KaslrMtException(
                HypervisorErrors.NoQemu,
                string.Create(CultureInfo.InvariantCulture, $"process {processId} is no QEMU whose command line can be read"),
                "give the number of a running qemu-system-x86_64, as its user or root");
    }

    /// <summary>The monitor's socket alone, of any QEMU; null when there is none with a name.</summary>
    internal static string? MonitorOf(int processId) => MonitorSocketIn([.. Options(Words(processId))]) is { } path
        ? Path.IsPathRooted(path) ? path : string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/cwd/{path}")
        : null;

    /// <summary>Reads QEMU's arguments, the program's name first.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.RamNotFound"/> when they do not tell where RAM is.</exception>
    internal static QemuCommandLine Parse(IReadOnlyList<string> words)
    {
        (string Name, string Value)[] options = [.. Options(words)];
        Dictionary<string, string> machine = [];
        foreach ((_, string value) in options.Where(option => option.Name is "machine" or "M"))
        {
            foreach ((string key, string text) in Properties(value, "type"))
            {
                machine[key] = text;
            }
        }

        if (machine.ContainsKey("max-ram-below-4g") || options.Any(option => option.Name == "device" && option.Value.Contains("dimm", StringComparison.Ordinal)))
        {
            throw NotFound("its memory is laid out by max-ram-below-4g or memory modules");
        }

        string? backend = machine.GetValueOrDefault("memory-backend");
        string[] nodes = [.. options.Where(option => option.Name == "numa").Select(option => Properties(option.Value, "type").GetValueOrDefault("memdev")).OfType<string>()];
        IReadOnlyList<Backend> backends = [.. (backend is null ? nodes : [backend]).Select(id => BackendOf(options, id))];
        ulong memory = backends.Count > 0 ? backends.Aggregate(0UL, (sum, entry) => sum + entry.Size) : MemoryOf(options);
        return new QemuCommandLine(MachineOf(machine.GetValueOrDefault("type", "pc")), memory, backends, MonitorSocketIn(options));
    }

    private static string[] Words(int processId) => ProcessIdentity.CommandLine(processId).TrimEnd('\0').Split('\0');

    private static IEnumerable<(string Name, string Value)> Options(IReadOnlyList<string> words)
    {
        for (int i = 1; i < words.Count; i++)
        {
            if (words[i].StartsWith('-'))
            {
                string value = i + 1 < words.Count && !words[i + 1].StartsWith('-') ? words[i + 1] : "";
                yield return (words[i].TrimStart('-'), value);
            }
        }
    }

    // "a,b=c,d=e,,f": the first word may stand without its key; a doubled comma is one that belongs to the value.
    private static Dictionary<string, string> Properties(string text, string first)
    {
        Dictionary<string, string> properties = [];
        foreach (string part in text.Replace(",,", "\0", StringComparison.Ordinal).Split(',').Select(part => part.Replace('\0', ',')))
        {
            string[] pair = part.Split('=', 2);
            if (pair.Length == 2)
            {
                properties[pair[0]] = pair[1];
            }
            else if (properties.Count == 0)
            {
                properties[first] = part;
            }
        }

        return properties;
    }

    private static QemuMachine MachineOf(string type) => type switch
    {
        "pc" => QemuMachine.Pc,
        "q35" => QemuMachine.Q35,
        "microvm" => QemuMachine.Microvm,
        _ when type.StartsWith("pc-i440fx-", StringComparison.Ordinal) => QemuMachine.Pc,
        _ when type.StartsWith("pc-q35-", StringComparison.Ordinal) => QemuMachine.Q35,
        _ => throw NotFound($"where RAM lies on machine type '{Printable.Of(type, 40)}' is not known"),
    };

    private static ulong MemoryOf((string Name, string Value)[] options)
    {
        string? text = options.Where(option => option.Name == "m").Select(option => Properties(option.Value, "size").GetValueOrDefault("size")).LastOrDefault();
        return text is null ? StandardMemory : Size(text, MiBShift) ?? throw NotFound($"its memory size '{Printable.Of(text, 40)}' is not understood");
    }

    private static Backend BackendOf((string Name, string Value)[] options, string id)
    {
        foreach ((_, string value) in options.Where(option => option.Name == "object"))
        {
            Dictionary<string, string> properties = Properties(value, "qom-type");
            if (properties.GetValueOrDefault("id") == id && Size(properties.GetValueOrDefault("size", ""), 0) is ulong size)
            {
                return new Backend(size, properties.GetValueOrDefault("mem-path"));
            }
        }

        throw NotFound($"its memory backend '{Printable.Of(id, 40)}' is not understood");
    }

    // -qmp unix:PATH,..., or -mon chardev=ID,mode=control with -chardev socket,id=ID,path=PATH.
    private static string? MonitorSocketIn((string Name, string Value)[] options)
    {
        foreach ((string name, string value) in options)
        {
            Dictionary<string, string> properties = Properties(value, name == "mon" ? "chardev" : "backend");
            if (name is "qmp" or "qmp-pretty" && properties.GetValueOrDefault("backend") is { } address && address.StartsWith("unix:", StringComparison.Ordinal))
            {
                return address["unix:".Length..];
            }

            if (name == "mon" && properties.GetValueOrDefault("mode") == "control" && properties.GetValueOrDefault("chardev") is { } id
                && options.Where(option => option.Name == "chardev").Select(option => Properties(option.Value, "backend"))
                    .FirstOrDefault(device => device.GetValueOrDefault("backend") == "socket" && device.GetValueOrDefault("id") == id)?.GetValueOrDefault("path") is { } path)
            {
                return path;
            }
        }

        return null;
    }

    private static ulong? Size(string text, int standardShift)
    {
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'B' => 0, 'K' => 10, 'M' => 20, 'G' => 30, 'T' => 40, _ => -1 };
        string digits = shift < 0 ? text : text.Length == 0 ? "" : text[..^1];
        return ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number is > 0 and < 1UL << 22 << 20
            ? number << (shift < 0 ? standardShift : shift)
            : null;
    }

    private static KaslrMtException NotFound(string problem) => new(
        HypervisorErrors.RamNotFound, $"QEMU's command line does not tell where the guest's RAM is: {problem}", "give the QEMU's monitor with --qmp SOCKET");

    /// <summary>A memory backend.</summary>
    /// <param name="Size">Bytes.</param>
    /// <param name="File">Its file; null for memory without a name.</param>
    internal readonly record struct Backend(ulong Size, string? File);
}
