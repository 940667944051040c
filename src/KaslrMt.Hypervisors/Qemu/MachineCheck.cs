using System.Text;

namespace KaslrMt.Hypervisors;

/// <summary>Checks what a VM is to be, before QEMU is started: QEMU would say it late and in its own words, or not at all.</summary>
internal static class MachineCheck
{
    // COMMAND_LINE_SIZE (arch/x86/include/asm/setup.h) with its NUL. The kernel copies a longer line without an end, and hangs.
    internal const int LongestCommandLine = 2047;

    /// <summary>Checks counts, lengths and whether the files can be read.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.SettingInvalid"/>; <see cref="HypervisorErrors.FileUnreadable"/>.</exception>
    internal static void Run(MachineDefinition definition)
    {
        if (definition.Cpus is < 1 or > 255)
        {
            throw new KaslrMtException(HypervisorErrors.SettingInvalid, $"{definition.Cpus} virtual CPUs are not supported", "give 1 to 255");
        }

        if (definition.Kernel is null && !definition.AwaitsMigration && !definition.HasGate)
        {
            throw new KaslrMtException(HypervisorErrors.SettingInvalid, "a VM that boots needs a kernel");
        }

        // Another user's files are not this process's to open: QEMU finds out with that user's rights.
        string?[] files = definition.RunAs is null ? [definition.Kernel, definition.Kernel is null ? null : definition.Initrd] : [];
        foreach (string file in files.OfType<string>())
        {
            try
            {
                using FileStream readable = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new KaslrMtException(HypervisorErrors.FileUnreadable, $"cannot read {Printable.Of(file)} ({Printable.Of(e.Message)})", inner: e);
            }
        }

        if ((definition.CommandLine ?? "").Contains('\0'))
        {
            throw new KaslrMtException(HypervisorErrors.SettingInvalid, "the kernel command line holds a NUL character");
        }

        // With what QEMU is really given: a microvm's line is longer than the user's.
        int length = Encoding.UTF8.GetByteCount(QemuArguments.CommandLine(definition) ?? "");
        if (length > LongestCommandLine)
        {
            throw new KaslrMtException(
                HypervisorErrors.SettingInvalid,
                $"the kernel command line has {length} bytes, and a kernel takes {LongestCommandLine}: it would not boot",
                "shorten --append");
        }
    }
}
