using System.Globalization;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Vms;

/// <summary>What a guest's free pages hold (<c>--free-pages</c>), and what it means for a guest's command line.</summary>
/// <remarks><c>init_on_free=1</c> (<c>Documentation/admin-guide/kernel-parameters.txt</c>; Linux 5.3 and later).</remarks>
internal static class FreePagesSetting
{
    /// <summary>The text that stands for pages that keep what they held last.</summary>
    public const string Kept = "kept";

    private const string Zeroed = "zeroed";
    private const string Parameter = "init_on_free";

    private static readonly Version First = new(5, 3);

    /// <summary>What was given.</summary>
    /// <exception cref="KaslrMtException">KMT9001: it is unknown.</exception>
    public static FreePages Parse(string text) => text switch
    {
        Kept => FreePages.Kept,
        Zeroed => FreePages.Zeroed,
        _ => throw new KaslrMtException(CoreErrors.Usage, $"--free-pages '{Printable.Of(text, 40)}' is unknown", "give kept or zeroed"),
    };

    /// <summary>The text that stands for it.</summary>
    public static string Text(FreePages pages) => pages == FreePages.Zeroed ? Zeroed : Kept;

    /// <summary>Says what contradicts itself before anything is started.</summary>
    /// <exception cref="KaslrMtException">As <see cref="Complete"/>.</exception>
    public static void Check(GuestCommandLine line, FreePages pages) => _ = Complete(line, pages);

    /// <summary>The guest's command line with it.</summary>
    /// <exception cref="KaslrMtException">KMT9001: the line says the opposite, or asks for what takes precedence in the kernel.</exception>
    public static string Complete(GuestCommandLine line, FreePages pages)
    {
        if (pages == FreePages.Kept)
        {
            return line.Text;
        }

        // Pages that are poisoned when freed are not cleared (init_mem_debugging_and_hardening in the kernel's mm/page_alloc.c and mm/mm_init.c).
        if (IsOn(line.ValueOf("page_poison")))
        {
            throw Contradiction("page_poison");
        }

        return line.ValueOf(Parameter) switch
        {
            // In front: what follows a "--" on a kernel command line is init's.
            null => line.Text.Length > 0 ? $"{Parameter}=1 {line.Text}" : $"{Parameter}=1",
            string given when IsOn(given) => line.Text,
            _ => throw Contradiction(Parameter),
        };
    }

    /// <summary>Sees to it that the guest's kernel can do it.</summary>
    /// <param name="pages">What is wanted.</param>
    /// <param name="release">The kernel's release, such as <c>6.1.0-56-cloud-amd64</c>.</param>
    /// <exception cref="KaslrMtException">KMT9021: it is too old, or does not say how old it is.</exception>
    public static void Require(FreePages pages, string release)
    {
        if (pages == FreePages.Zeroed && !(TryVersion(release, out Version? version) && version >= First))
        {
            throw new KaslrMtException(
                VmErrors.NoZeroing,
                $"--free-pages zeroed: the kernel {(release.Length > 0 ? Printable.Of(release, 80) : "without a release")} does not know {Parameter}, which came with Linux {First}",
                "give a later kernel, or leave --free-pages out");
        }
    }

    // Two numbers in front, whatever follows: 6.1.0-56-cloud-amd64, 5.3-rc1.
    private static bool TryVersion(string release, out Version? version)
    {
        version = null;
        string[] parts = release.Split('.', 3);
        string minor = parts.Length < 2 ? "" : string.Concat(parts[1].TakeWhile(char.IsAsciiDigit));
        if (parts.Length > 1
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
            && int.TryParse(minor, NumberStyles.None, CultureInfo.InvariantCulture, out int second))
        {
            version = new Version(first, second);
        }

        return version is not null;
    }

    // kstrtobool of the kernel's lib/kstrtox.c.
    private static bool IsOn(string? value) =>
        value is ['y' or 'Y' or 't' or 'T' or '1', ..] or ['o' or 'O', 'n' or 'N', ..];

    private static KaslrMtException Contradiction(string parameter) => new(
        CoreErrors.Usage, $"--free-pages zeroed and {parameter} in --append contradict each other", "leave one of them out");
}
