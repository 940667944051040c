using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt symbolize</c>: which symbols the addresses of a guest are, one by one or in a text.</summary>
internal static class SymbolizeCommand
{
    private const ulong PlanningMemory = 1UL << 30;

    // KERNEL_IMAGE_SIZE with KASLR, and the least CONFIG_PHYSICAL_ALIGN (arch/x86/include/asm/page_64_types.h, arch/x86/Kconfig).
    private const ulong KernelImageSize = ByteSize.GiB;
    private const ulong KernelAlignment = 2 * ByteSize.MiB;

    public static Command Create()
    {
        var words = new Argument<string[]>("GUEST | ADDRESS")
        {
            Description = "A VM's name, pid:N, ram:FILE or core:FILE, then addresses; without addresses, text on standard input",
            Arity = ArgumentArity.ZeroOrMore,
        }.NotEmpty();
        Option<string?> kernel = new Option<string?>("--kernel", "-k") { Description = "A kernel file instead of a guest", HelpName = "FILE" }.NotEmpty();
        Option<string?> textBase = Hex("--base", "The address of _text in the boot that the text is of; default: the guest's"),
            offset = Hex("--offset", "The same as a distance from the link address, as 'Kernel Offset:' tells it");
        Option<string?> keyFile = new Option<string?>("--tenant-key-file") { Description = "With --kernel: the tenant key that the base follows from, or - for standard input", HelpName = "FILE" }.NotEmpty();
        Option<string?> seed = new("--vm-seed") { Description = "With --kernel: the VM seed, where the policy has kernel-virtual per VM", HelpName = "HEX" };
        Option<string> policy = new("--policy") { Description = "With --kernel: the VM's policy", HelpName = "BITMAP", DefaultValueFactory = _ => "110010" };
        Option<string> producer = new("--producer") { Description = "With --kernel: hkdf or paper", HelpName = "NAME", DefaultValueFactory = _ => "hkdf" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("symbolize", "Name the kernel addresses in a text, or those given, for a VM's layout") { words, kernel, textBase, offset, keyFile, seed, policy, producer, json };
        command.SetAction(async (parsed, cancellation) =>
        {
            TextWriter error = parsed.InvocationConfiguration.Error, output = parsed.InvocationConfiguration.Output;
            string[] given = parsed.GetValue(words) ?? [];
            ulong? distance = parsed.GetValue(offset) is string told ? Distance(told) : null;
            bool named = given.Length > 0 && !TryAddress(given[0], out _);
            VirtualAddress[] addresses = [.. given.Skip(named ? 1 : 0).Select(Address)];
            if (named == parsed.GetValue(kernel) is not null)
            {
                throw new KaslrMtException(CoreErrors.Usage, named ? "a guest and --kernel are given" : "neither a guest nor --kernel is given", "give one of them");
            }

            if (!named)
            {
                using KernelImage image = KernelImage.Open(parsed.GetValue(kernel)!);
                VirtualAddress start = Base(parsed.GetValue(textBase), distance, image.Geometry.LinkBase)
                    ?? Planned(image.Geometry, parsed.GetValue(keyFile), parsed.GetValue(seed), parsed.GetValue(policy)!, parsed.GetValue(producer)!);
                return Run(KernelSymbolizer.Of(image, start), image.Geometry.LinkBase, addresses, parsed.GetValue(json), output, error);
            }

            await using GuestSource source = await GuestSource.OpenAsync(GuestReference.Parse(given[0]), error, cancellation).ConfigureAwait(false);
            VirtualAddress link = new(0xffffffff81000000);
            return Run(KernelSymbolizer.Of(source.Kernel, Base(parsed.GetValue(textBase), distance, link)), link, addresses, parsed.GetValue(json), output, error);
        });
        return command.WithExamples(
            "kaslrmt symbolize web1 0xffffffff9d2045c1", "dmesg | kaslrmt symbolize web1", "kaslrmt symbolize --kernel vmlinuz --offset 0x1c000000 <oops.txt");
    }

    private static Option<string?> Hex(string name, string description) => new(name) { Description = description, HelpName = "HEX" };

    private static int Run(KernelSymbolizer symbols, VirtualAddress link, VirtualAddress[] addresses, bool json, TextWriter output, TextWriter error)
    {
        if (addresses.Length > 0)
        {
            (VirtualAddress Address, SymbolLocation? Place)[] found = [.. addresses.Select(address => (address, symbols.Find(address)))];
            IReadOnlyList<SymbolReport> report = [.. found.Select(pair => SymbolReport.Of(pair.Address, pair.Place))];
            Report.Show(output, json, report, ReportJson.Default.IReadOnlyListSymbolReport, (writer, _) =>
            {
                foreach ((VirtualAddress address, SymbolLocation? place) in found)
                {
                    writer.WriteLine($"{address} {place?.ToString() ?? "no symbol"}");
                }
            });
            return found.All(pair => pair.Place is not null) ? ExitCode.Success : ExitCode.CheckFailed;
        }

        if (json)
        {
            throw new KaslrMtException(CoreErrors.Usage, "--json goes with addresses, not with a text", "give the addresses as arguments");
        }

        var text = new TextSymbolizer(symbols);
        text.Rewrite(Console.In, output);
        if (text.ToldOffset is ulong told && link + told != symbols.Base)
        {
            error.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"kaslrmt: the text is of another boot, so its names are wrong: give --offset 0x{told:x}, which it tells itself"));
            return ExitCode.CheckFailed;
        }

        return ExitCode.Success;
    }

    private static VirtualAddress? Base(string? textBase, ulong? offset, VirtualAddress link) =>
        textBase is not null && offset is not null ? throw new KaslrMtException(CoreErrors.Usage, "--base and --offset are both given", "give one of them")
        : textBase is not null ? Address(textBase)
        : offset is ulong distance ? link + distance
        : null;

    /// <summary>The base that key or seed give; it depends on neither the VM's memory nor its machine.</summary>
    private static VirtualAddress Planned(KernelGeometry geometry, string? keyFile, string? seed, string policy, string producer)
    {
        using TenantKey? key = keyFile is null ? null : KeySource.Read(keyFile);
        using VmSeed? given = seed is null ? null : VmSeed.FromHex(seed);
        Policy scopes = Policy.Parse(policy);
        if (scopes.ScopeOf(Region.KernelVirtual) == Scope.PerTenant ? key is null : given is null)
        {
            throw new KaslrMtException(
                CoreErrors.Usage, "with --kernel alone the layout is not known", "give --base, --offset, or what it follows from: --tenant-key-file (per tenant) or --vm-seed (per VM)");
        }

        using VmSeed any = VmSeed.Generate();
        using KernelLayout layout = LayoutPlanner.Plan(
            geometry, new GuestMemoryMap([PhysicalRange.Between(0, PlanningMemory)], []), Needed(scopes, key), key, given ?? any, AddressProducers.Parse(producer));
        return layout.KernelVirtual;
    }

    // Regions that nobody asks for must not ask for a key.
    private static Policy Needed(Policy policy, TenantKey? key) => key is null ? Policy.Parse("000000") : policy;

    private static VirtualAddress Address(string text) =>
        TryAddress(text, out VirtualAddress address)
            ? address
            : throw new KaslrMtException(CoreErrors.Usage, $"'{Printable.Of(text, 40)}' is no kernel address", "write it as 0x and 16 hexadecimal digits");

    private static bool TryAddress(string text, out VirtualAddress address)
    {
        const int Digits = 16;
        string digits = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? text[2..] : text;
        bool parsed = ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value) && (digits.Length == Digits || digits.Length < text.Length);
        address = new VirtualAddress(value);
        return parsed;
    }

    private static ulong Distance(string text) =>
        ulong.TryParse(text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? text[2..] : text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value)
        && value < KernelImageSize && value % KernelAlignment == 0
            ? value
            : throw new KaslrMtException(
                CoreErrors.Usage, $"--offset '{Printable.Of(text, 40)}' is no distance of a kernel", "write it as the kernel does, a multiple of 2 MiB below 1 GiB: 0x1c000000");
}
