using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt doctor</c>: does this host have what is needed.</summary>
internal static class DoctorCommand
{
    private static readonly (string Library, string Package, string For)[] Codecs =
    [
        ("liblz4.so.1", "liblz4-1", "LZ4"),
        ("libzstd.so.1", "libzstd1", "zstd"),
        ("liblzma.so.5", "liblzma5", "XZ and LZMA"),
        ("libbz2.so.1.0", "libbz2-1.0", "bzip2"),
        ("liblzo2.so.2", "liblzo2-2", "LZO"),
    ];

    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json();
        var command = new Command("doctor", "Check that this host has what kaslrmt needs") { json };
        command.SetAction(parsed =>
        {
            DoctorReport report = Examine();
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.DoctorReport, Print);
            return report.Healthy ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt doctor");
    }

    private static void Print(TextWriter output, DoctorReport report) => Report.Facts(
        output, [.. report.Findings.Select(finding => ($"{finding.Ok switch { true => "ok  ", false => "FAIL", null => "note" }}  {finding.What}", finding.Detail))]);

    private static DoctorReport Examine()
    {
        List<DoctorReport.Finding> findings =
        [
            Program(MachineDefinition.DefaultProgram, "qemu-system-x86"),
            Program("setpriv", "util-linux"),
        ];
        foreach ((string library, string package, string use) in Codecs)
        {
            bool found = NativeLibrary.TryLoad(library, out nint handle);
            if (found)
            {
                NativeLibrary.Free(handle);
            }

            findings.Add(new($"{use} kernels", found, found ? library : $"{library} is missing: apt-get install {package}"));
        }

        AcceleratorChoice accelerator = AcceleratorChoice.Decide(Accelerator.Auto);
        findings.Add(new("accelerator", null, $"{accelerator.Argument} ({accelerator.Reason})"));
        findings.Add(RuntimeFolder());
        return new DoctorReport(findings.All(finding => finding.Ok != false), findings);
    }

    private static DoctorReport.Finding Program(string name, string package)
    {
        string? path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
        return new(name, path is not null, path ?? $"not in PATH: apt-get install {package}");
    }

    private static DoctorReport.Finding RuntimeFolder()
    {
        try
        {
            RuntimeDirectory runtime = RuntimeDirectory.Open();
            IReadOnlyList<string> swept = runtime.Sweep();
            string cleaned = swept.Count == 0 ? "" : $"; cleaned up after {string.Join(", ", swept)}";
            long prepared = CacheLocation.Open().Size;
            return new("runtime folder", true, string.Create(CultureInfo.InvariantCulture, $"{runtime.Path}; {prepared >> 20} MiB of prepared kernels on disk{cleaned}"));
        }
        catch (KaslrMtException error)
        {
            return new("runtime folder", false, $"{error.Code}: {error.Message}");
        }
    }
}
