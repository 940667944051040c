using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Kernels;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt kernel FILE</c>: what an image is, and whether it can be given a layout.</summary>
internal static class KernelCommand
{
    public static Command Create()
    {
        Argument<string> file = new Argument<string>("FILE") { Description = "A bzImage (vmlinuz) or an ELF vmlinux" }.NotEmpty();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("kernel", "Explain a kernel image: release, payload, relocations, symbols, slots, what is supported") { file, json };
        command.SetAction(parsed =>
        {
            string path = parsed.GetRequiredValue(file);
            using KernelInspection found = KernelInspection.Of(path);
            KaslrMtException? problem = found.Problem is null ? null : new(found.Problem.Code, $"{path}: {found.Problem.Problem}", found.Problem.Remedy, found.Problem);
            if (problem is not null && found.Setup is null && found.Elf is null)
            {
                // No kernel at all: there is nothing to explain.
                throw problem;
            }

            TextWriter output = parsed.InvocationConfiguration.Output;
            Report.Show(output, parsed.GetValue(json), Describe(path, found), ReportJson.Default.KernelReport, Print);
            output.Flush();
            return problem is null ? ExitCode.Success : throw problem;
        });
        return command.WithExamples("kaslrmt kernel /boot/vmlinuz-6.1.0-56-cloud-amd64", "kaslrmt kernel vmlinuz --json | jq .virtualSlots");
    }

    private static KernelReport Describe(string path, KernelInspection found) =>
        new()
        {
            File = path,
            Release = found.Release,
            Format = found.Setup is null ? "ELF vmlinux" : "bzImage",
            Protocol = found.Setup is { } setup ? $"{setup.Protocol >> 8}.{setup.Protocol & 0xff:d2}" : null,
            Payload = found.Format?.ToString().ToLowerInvariant(),
            PayloadBytes = found.Setup?.PayloadLength,
            UnpackedBytes = found.UnpackedSize,
            Relocations32 = found.Relocations?.Add32.Length,
            RelocationsInverse = found.Relocations is { HasInverse: true } inverse ? inverse.Subtract32.Length : null,
            Relocations64 = found.Relocations?.Add64.Length,
            Symbols = found.Symbols?.Count,
            SymbolTable = found.Symbols?.Layout.Describe(),
            LinkBase = found.Geometry?.LinkBase.ToString(),
            LinkPhysical = found.Geometry?.PreferredPhysical.ToString(),
            ImageBytes = found.Geometry?.ImageSize,
            Alignment = found.Geometry?.Alignment,
            VirtualSlots = found.Geometry?.VirtualSlots,
            ModuleOffset = found.Patch?.ModuleOffset?.Function,
            DirectMapEnd = found.Patch?.HasDirectMapEnd,
            Supported = found.Problem is null,
            Problem = found.Problem is { } problem ? $"{problem.Code}: {problem.Problem}" : null,
            Remedy = found.Problem?.Remedy,
        };

    private static void Print(TextWriter output, KernelReport report) => Report.Facts(
        output,
        ("kernel", string.IsNullOrEmpty(report.Release) ? "unknown release" : report.Release),
        ("file", report.Protocol is null ? report.Format : $"{report.Format}, boot protocol {report.Protocol}"),
        ("payload", report.PayloadBytes is int packed ? $"{report.Payload ?? "unknown format"}, {Number(packed)} bytes" : ""),
        ("unpacked", report.UnpackedBytes is int unpacked ? $"{Number(unpacked)} bytes" : ""),
        ("relocations", Relocations(report)),
        ("symbols", report.Symbols is int symbols ? $"{Number(symbols)} ({report.SymbolTable})" : ""),
        ("linked at", report.LinkBase is string link ? $"{link}, physical {report.LinkPhysical}" : ""),
        ("size", report.ImageBytes is ulong size ? $"{Number(size)} bytes of memory, aligned to {new ByteSize(report.Alignment ?? 1)}" : ""),
        ("virtual slots", report.VirtualSlots is ulong slots ? Number(slots) : ""),
        ("module offset", report.DirectMapEnd is null ? "" : report.ModuleOffset is string function ? $"drawn in {function}" : "none: built without loadable modules"),
        ("direct map end", report.DirectMapEnd is bool end ? (end ? "a variable, set by the host" : "no variable in this kernel") : ""),
        ("supported", report.Supported ? "yes" : $"no: {report.Problem}"));

    private static string Relocations(KernelReport report) => report.Relocations32 is int add32
        ? $"{Number(add32)} of 32 bits, {(report.RelocationsInverse is int inverse ? $"{Number(inverse)} inverse, " : "")}{Number(report.Relocations64 ?? 0)} of 64 bits"
        : "";

    private static string Number<T>(T value)
        where T : IFormattable => value.ToString("N0", CultureInfo.InvariantCulture);
}
