using System.Runtime.CompilerServices;
using System.Text;
using KaslrMt.Cli.Commands;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Tests;

/// <summary>What people see in terminals of 80 and 160 columns, and in a pipe, compared with files. With KASLRMT_WRITE_GOLDEN=1 the files are written anew: read the difference before you commit it.</summary>
public sealed class TerminalOutputTests
{
    private const string Piped = "piped";

    private static readonly string[] Commands = ["", "run", "ps", "verify", "tenant list", "store check", "audit"];

    public static TheoryData<string, string> Outputs
    {
        get
        {
            var outputs = new TheoryData<string, string>();
            foreach (string width in (string[])["80", "160", Piped])
            {
                foreach (string what in (string[])["help", "ps", "verify", "tenants"])
                {
                    outputs.Add(what, width);
                }
            }

            return outputs;
        }
    }

    [Theory]
    [MemberData(nameof(Outputs))]
    public async Task Is_as_it_was(string what, string width)
    {
        int? columns = width == Piped ? null : int.Parse(width, System.Globalization.CultureInfo.InvariantCulture);
        using var stream = new MemoryStream();
        using (var output = new ReportWriter(stream) { Columns = columns })
        {
            await PrintAsync(what, output);
        }

        string text = Encoding.UTF8.GetString(stream.ToArray());
        if (columns is int limit)
        {
            Assert.All(text.Split('\n'), line => Assert.True(line.Length <= limit && line == line.TrimEnd(), line));
        }

        string file = Path.Combine(Path.GetDirectoryName(SourceFile())!, "Golden", $"{what}-{width}.txt");
        if (Environment.GetEnvironmentVariable("KASLRMT_WRITE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, text);
        }

        Assert.Equal(await File.ReadAllTextAsync(file), text);
    }

    private static async Task PrintAsync(string what, ReportWriter output)
    {
        switch (what)
        {
            case "help":
                foreach (string command in Commands)
                {
                    await output.WriteLineAsync($"$ kaslrmt {command} --help");
                    Assert.Equal(0, await CommandLine.RunAsync([.. command.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"], output, TextWriter.Null));
                }

                break;
            case "ps":
                PsCommand.Print(output, [Vm("web1", "acme", "running"), Vm("database-2", "a-tenant-with-a-long-name-of-its-own", "running") with { Generation = 12 },
                    Vm("in-doubt", "acme", VmReport.NotHere) with { InDoubt = "host h-0123456789abcdef has not renewed its lease, and nobody has seen the VM end" }]);
                break;
            case "verify":
                VerifyCommand.Print(output, [Report("web1", 0xffffffff94200000, 0xffffffff94200000), Report("web2", 0xffffffff94200000, 0xffffffffab600000), Report("starting", 0xffffffff94200000, null)]);
                break;
            default:
                TenantCommand.Print(output, [
                    new TenantReport("acme", 3, "0123456789abcdef", 2, false, Days(3), Days(3)),
                    new TenantReport("a-tenant-with-a-long-name-of-its-own", 12345, "fedcba9876543210", 1234, true, Days(3), Days(3)),
                    new TenantReport("gone", 1, null, 0, false, Days(3), null)]);
                break;
        }
    }

    // Ages are shown, not times.
    private static DateTimeOffset Days(int days) => DateTimeOffset.UtcNow.AddDays(-days).AddHours(-2);

    private static VmReport Vm(string name, string tenant, string state) => new()
    {
        Name = name,
        State = state,
        Mode = "detached",
        Tenant = tenant,
        Release = "6.12.74+deb13-cloud-amd64",
        Memory = "2 GiB",
        OwnerProcess = 4711,
        ProcessId = 4712,
        Reboots = 2,
    };

    private static VerifyReport Report(string name, ulong intended, ulong? observed)
    {
        string Hex(ulong value) => $"0x{value:x16}";
        VerifyReport.VerifiedRegion[] regions = [
            new("kernel-physical", "per-vm", Hex(0xae00000), Hex(0xae00000), true),
            new("kernel-virtual", "per-tenant", Hex(intended), observed is ulong seen ? Hex(seen) : null, observed is null ? null : observed == intended)];
        return new VerifyReport(name, "acme", regions.All(region => region.Matches != false), regions)
        {
            Promise = name == "web2" ? new VerifyReport.VerifiedPromise("acme", false, ["web1", "web2"], ["kernel-virtual is per tenant and differs between web1, web2"]) : null,
        };
    }

    private static string SourceFile([CallerFilePath] string path = "") => path;
}
