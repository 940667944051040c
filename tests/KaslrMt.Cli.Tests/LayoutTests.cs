using System.Text.Json;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Tests;

public sealed class LayoutTests : IDisposable
{
    private static readonly string Seed = new('5', 64);

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task JSON_has_the_form_that_others_build_on_and_a_seed_repeats_it()
    {
        Call first = await Layout("--vm-seed", Seed, "--json");
        Call again = await Layout("--vm-seed", Seed, "--json");
        Assert.Equal((0, ""), (first.Code, first.Error));
        Assert.Equal(first.Output, again.Output);
        using JsonDocument document = JsonDocument.Parse(first.Output);
        Assert.Equal("110010", document.RootElement.GetProperty("policy").GetString());
        JsonElement[] regions = [.. document.RootElement.GetProperty("regions").EnumerateArray()];
        Assert.Equal(
            ["kernel-physical", "kernel-virtual", "physmap", "vmalloc", "vmemmap", "modules"], regions.Select(region => region.GetProperty("name").GetString()));
        Assert.All(regions, region =>
        {
            Assert.Matches("^0x[0-9a-f]{16}$", region.GetProperty("base").GetString());
            Assert.Matches("^per-(vm|tenant)$", region.GetProperty("scope").GetString());
            Assert.True(region.GetProperty("slots").GetUInt64() > 1);
            Assert.InRange(region.GetProperty("entropyBits").GetDouble(), 1, 40);
        });
        Assert.Equal(VirtualSlots("6.1-cloud"), regions[1].GetProperty("slots").GetUInt64());
    }

    [Fact]
    public async Task Without_a_seed_per_VM_bases_differ_and_per_tenant_ones_do_not()
    {
        string[] first = Rows((await Layout()).Output);
        string[] second = Rows((await Layout()).Output);
        Assert.Equal(first.Where(row => row.Contains("per-tenant", StringComparison.Ordinal)), second.Where(row => row.Contains("per-tenant", StringComparison.Ordinal)));
        Assert.NotEqual(first, second);
    }

    [Fact]
    public async Task The_table_fits_80_columns_has_no_trailing_spaces_and_numbers_at_the_right()
    {
        Call result = await Layout("--vm-seed", Seed);
        string[] lines = result.Output.TrimEnd('\n').Split('\n');
        Assert.All(lines, line => Assert.True(line.Length <= 80 && line == line.TrimEnd(), line));
        string heading = lines.Single(line => line.StartsWith("region", StringComparison.Ordinal));
        int end = heading.IndexOf("slots", StringComparison.Ordinal) + "slots".Length;
        Assert.All(Rows(result.Output), row => Assert.True(char.IsAsciiDigit(row[end - 1]) && row[end] == ' ', row));
        Assert.Matches("^[- ]+$", lines[Array.IndexOf(lines, heading) + 1]);
    }

    [Fact]
    public async Task Digits_alone_are_MiB_as_for_QEMU() =>
        Assert.Equal((await Layout("--vm-seed", Seed, "-m", "512M")).Output, (await Layout("--vm-seed", Seed, "-m", "512")).Output);

    [Fact]
    public async Task A_kernel_is_explained_for_people_and_programs()
    {
        Call text = await Kaslrmt.CallAsync("kernel", TestKernels.Image("6.12-cloud"));
        Assert.Equal((0, ""), (text.Code, text.Error));
        Assert.Matches("(?m)^supported +yes$", text.Output);
        Call json = await Kaslrmt.CallAsync("kernel", TestKernels.Image("6.12-cloud"), "--json");
        using JsonDocument document = JsonDocument.Parse(json.Output);
        Assert.Equal(VirtualSlots("6.12-cloud"), document.RootElement.GetProperty("virtualSlots").GetUInt64());
    }

    [Fact]
    public async Task Every_reporting_command_takes_json()
    {
        // Other tests of this process may start a VM just now.
        using JsonDocument vms = JsonDocument.Parse((await Kaslrmt.CallAsync("ps", "--json")).Output);
        Assert.All(vms.RootElement.EnumerateArray(), vm => Assert.Contains(vm.GetProperty("state").GetString(), (string[])["starting", "running"]));
        Call doctor = await Kaslrmt.CallAsync("doctor", "--json");
        using JsonDocument document = JsonDocument.Parse(doctor.Output);
        Assert.Equal(doctor.Code == 0, document.RootElement.GetProperty("healthy").GetBoolean());
    }

    private static string[] Rows(string output) => [.. output.Split('\n').Where(line => line.Contains(" 0x", StringComparison.Ordinal))];

    // Of the image under test: Debian's newest kernel of its series today.
    private static ulong VirtualSlots(string kernel)
    {
        using KernelImage image = KernelImage.Open(TestKernels.Image(kernel));
        KernelGeometry geometry = image.Geometry;
        ulong room = (1UL << 30) - (geometry.LinkBase.Value - 0xffffffff80000000) - geometry.ImageSize;
        return (room / geometry.Alignment) + 1;
    }

    private Task<Call> Layout(params string[] more) =>
        Kaslrmt.CallAsync(["layout", "--kernel", TestKernels.Image("6.1-cloud"), "--tenant-key-file", _scratch.Key, .. more]);
}
