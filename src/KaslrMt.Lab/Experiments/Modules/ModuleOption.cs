using KaslrMt.Kernels;

namespace KaslrMt.Lab.Experiments.Modules;

/// <summary>A way to make modules come to the same addresses in each boot.</summary>
/// <param name="Name">Its name in reports and options.</param>
/// <param name="What">What it does.</param>
/// <param name="CommandLine">What it adds to the guest's command line, with a space in front; or nothing.</param>
/// <param name="Addresses">How the kernel places modules.</param>
/// <param name="ListsModules">Whether an archive behind the initrd names the modules of an earlier boot, to be loaded one after the other.</param>
internal sealed record ModuleOption(string Name, string What, string CommandLine = "", ModuleAddresses Addresses = ModuleAddresses.ByOrder, bool ListsModules = false)
{
    /// <summary>udev with one worker: in the initrd and on the disk.</summary>
    private const string SerialUdev = " udev.children_max=1 rd.udev.children_max=1";

    /// <summary>All, the plain one first.</summary>
    public static IReadOnlyList<ModuleOption> All { get; } =
    [
        new("plain", "as the guest comes"),
        new("serial", "udev.children_max=1: udev handles one event at a time", SerialUdev),
        new("serial-rcu", "the same, and rcupdate.rcu_expedited=1: freed init sections leave their holes sooner", SerialUdev + " rcupdate.rcu_expedited=1"),
        new("listed", "an archive behind the initrd: the modules of the first boot one after the other, before udev (Debian's /conf/modules)", ListsModules: true),
        new("by-name", "--module-addresses by-name", Addresses: ModuleAddresses.ByName),
        new("by-name-serial", "--module-addresses by-name and udev.children_max=1", SerialUdev, ModuleAddresses.ByName),
    ];
}
