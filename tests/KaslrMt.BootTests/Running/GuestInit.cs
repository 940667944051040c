using System.Collections.Concurrent;
using System.Diagnostics;
using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests.Running;

/// <summary>The init of a test's guest: it prints what the guest itself knows of its layout, then does what the test wants.</summary>
internal static class GuestInit
{
    internal const string Mark = "kmt ";
    internal const string End = "kmt end";

    private static readonly ConcurrentDictionary<(string Kernel, string Module), byte[]> Modules = new();

    // /proc/kcore's program headers give physmap, vmalloc and vmemmap (fs/proc/kcore.c): its first page holds them all.
    private const string Script = """
        {
        echo "kmt cmdline $(cat /proc/cmdline)"
        echo "kmt text $(grep -m1 ' _text$' /proc/kallsyms)"
        echo "kmt code $(grep -m1 'Kernel code' /proc/iomem)"
        echo 1 > /proc/sys/kernel/kptr_restrict
        insmod /dummy.ko && echo "kmt module $(cat /proc/modules)"
        echo "kmt area $(grep '^0xffffffffc' /proc/vmallocinfo | sort | head -n 1)"
        rmmod dummy && echo "kmt unloaded $(wc -l < /proc/modules)"
        insmod /dummy.ko && echo "kmt reloaded $(cat /proc/modules)"
        echo "kmt cpus $(nproc)"
        echo "kmt kcore $(head -c 4096 /proc/kcore | hexdump -v -e '1/1 "%02x"')"
        echo "kmt notes $(hexdump -v -e '1/1 "%02x"' /sys/kernel/notes)"
        dmesg | grep -E 'WARNING: |BUG: |kernel BUG|Oops|Call Trace|unable to handle|general protection' | sed 's/^/kmt trouble /'
        echo "kmt end"
        } > /tmp/view 2>&1
        cat /tmp/view

        """;

    /// <summary>Writes the initramfs and returns its path.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="kernel">The kernel's folder: its own dummy network module is loaded, unloaded and loaded again.</param>
    /// <param name="then">What init does in the end; when it ends, the kernel panics.</param>
    /// <param name="modules">Further modules of the kernel, put into /m.</param>
    internal static string WriteTo(string path, string kernel, string then, IReadOnlyList<string>? modules = null)
    {
        Dictionary<string, byte[]> files = (modules ?? []).ToDictionary(name => $"/m/{name}.ko", name => Read(kernel, name));
        files["/dummy.ko"] = Read(kernel, "dummy");
        return Initramfs.BuildTo(path, Script + then, files);
    }

    private static byte[] Read(string kernel, string module) => Modules.GetOrAdd((kernel, module), key => ReadModule(key.Kernel, key.Module));

    private static byte[] ReadModule(string kernel, string name)
    {
        string path = Directory.EnumerateFiles(TestKernels.Modules(kernel), $"{name}.ko*", SearchOption.AllDirectories).Single();
        if (path.EndsWith(".ko", StringComparison.Ordinal))
        {
            return File.ReadAllBytes(path);
        }

        using Process xz = Process.Start(new ProcessStartInfo("xz", ["-dc", path]) { RedirectStandardOutput = true })!;
        using MemoryStream module = new();
        xz.StandardOutput.BaseStream.CopyTo(module);
        xz.WaitForExit();
        Assert.Equal(0, xz.ExitCode);
        return module.ToArray();
    }
}
