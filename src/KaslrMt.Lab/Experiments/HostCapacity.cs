using System.Globalization;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>What the host has for an experiment's guests, looked at before the first one starts.</summary>
internal static class HostCapacity
{
    /// <summary>The most that QEMU may take for an experiment's guest's translated code: of its own limit of 1 GiB a Debian guest takes 430 MiB at boot, which would be all its RAM again.</summary>
    public static readonly ByteSize TranslatedCode = new(128 * ByteSize.MiB);

    // QEMU itself, with its devices and translated code: a guest of busybox has little of that (60 to 90 MB with TCG and one processor), a Debian
    // guest all it may, and 115 MiB beside it.
    private const ulong SmallQemuBytes = 112 * ByteSize.MiB;
    private const ulong LargeQemuBytes = 248 * ByteSize.MiB;

    // Fingerprints, classes and what groups them.
    private const ulong BytesPerPage = 96;

    // What the kernel and other programs should keep.
    private const ulong Reserve = 512 * ByteSize.MiB;

    // What a debian guest writes to its disk until it has settled.
    private const ulong ScratchBytes = 64 * ByteSize.MiB;

    private static readonly string Scratch = Environment.GetEnvironmentVariable("TMPDIR") is { Length: > 0 } chosen ? chosen : "/var/tmp";

    /// <summary>How many guests to boot at a time.</summary>
    /// <param name="recipe">The guests.</param>
    /// <param name="asked">What the user wants; null for what the machine allows.</param>
    /// <param name="guests">The most that makes sense.</param>
    public static int Parallel(GuestRecipe recipe, int? asked, int guests)
    {
        ulong free = Available();
        int fitting = (int)Math.Min(free > Reserve ? (free - Reserve) / Need(recipe) : 0, 1024);
        return Math.Clamp(asked ?? Math.Min(Environment.ProcessorCount, fitting), 1, guests);
    }

    /// <summary>Sees to it that so many guests fit at a time.</summary>
    /// <param name="recipe">The guests.</param>
    /// <param name="guests">How many run at once.</param>
    /// <param name="folder">Where results go.</param>
    /// <param name="resultBytes">How large those are.</param>
    /// <exception cref="KaslrMtException">KMT6022, KMT6023.</exception>
    public static void Check(GuestRecipe recipe, int guests, string folder, ulong resultBytes)
    {
        ulong needed = ((ulong)guests * Need(recipe)) + Reserve, free = Available();
        if (needed > free)
        {
            throw new KaslrMtException(
                SharingErrors.ExperimentTooLittleMemory,
                string.Create(CultureInfo.InvariantCulture, $"{guests} guests of {recipe.Memory} at once need {Size(needed)} of memory, and {Size(free)} are available"),
                "take fewer guests (--guests, --parallel) or smaller ones (--memory), or end other programs");
        }

        CheckDisk(folder, resultBytes, "the results");
        if (recipe.Disk is not null)
        {
            CheckDisk(Scratch, (ulong)guests * ScratchBytes, "what the guests write");
        }
    }

    private static ulong Need(GuestRecipe recipe) => recipe.Memory.Bytes + (recipe.Disk is null ? SmallQemuBytes : LargeQemuBytes) + (recipe.Memory.Bytes / 4096 * BytesPerPage);

    private static void CheckDisk(string folder, ulong needed, string what)
    {
        string existing = Path.GetFullPath(folder);
        while (!Directory.Exists(existing))
        {
            existing = Path.GetDirectoryName(existing) ?? "/";
        }

        ulong free = (ulong)new DriveInfo(existing).AvailableFreeSpace;
        if (needed > free)
        {
            throw new KaslrMtException(
                SharingErrors.ExperimentTooLittleDisk, $"{what} need {Size(needed)} of disk in {existing}, and {Size(free)} are free", "free some space, or give another --output (and TMPDIR)");
        }
    }

    /// <summary>MemAvailable (<c>Documentation/filesystems/proc.rst</c>).</summary>
    private static ulong Available()
    {
        string? line = File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return line is not null && ulong.TryParse(line[13..].Replace("kB", "", StringComparison.Ordinal).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong kibibytes)
            ? kibibytes << 10
            : 0;
    }

    private static string Size(ulong bytes) => string.Create(CultureInfo.InvariantCulture, $"{(bytes + ByteSize.MiB - 1) / ByteSize.MiB} MiB");
}
