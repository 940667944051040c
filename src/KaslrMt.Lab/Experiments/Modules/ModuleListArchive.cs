using System.Text;
using KaslrMt.Hypervisors;

namespace KaslrMt.Lab.Experiments.Modules;

/// <summary>An initrd of Debian's (initramfs-tools) that loads a list of modules first, one after the other.</summary>
internal static class ModuleListArchive
{
    // initramfs-tools' init gives each line to modprobe before it starts udev.
    private const string ListPath = "/conf/modules";

    // MODULE_NAME_LEN, and as many modules as are taken from a guest's memory.
    private const int LongestName = 55;
    private const int MostNames = 10_000;

    /// <summary>Writes the initrd with the list behind it.</summary>
    /// <param name="initrd">The guest's initrd.</param>
    /// <param name="modules">Names as a guest's memory had them: what is no module's name is left out.</param>
    /// <param name="path">The file to write.</param>
    public static string WriteTo(string initrd, IEnumerable<string> modules, string path) =>
        Initramfs.Append(initrd, Initramfs.Overlay(new Dictionary<string, byte[]> { [ListPath] = List(modules) }), path);

    /// <summary>The list's content.</summary>
    internal static byte[] List(IEnumerable<string> modules)
    {
        // A name is a word on a root shell's line there.
        IEnumerable<string> names = modules.Where(IsName).Distinct().Take(MostNames);
        return Encoding.ASCII.GetBytes(string.Concat(names.Select(name => name + "\n")));
    }

    private static bool IsName(string name) => name.Length is > 0 and <= LongestName && name[0] != '-' && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-');
}
