using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Vms.Tests;

/// <summary>The one description of a VM: it is read as it was written, by later versions too, and nothing else is taken for one.</summary>
public sealed class VmSpecTests : IDisposable
{
    private const string Key = "correct-horse-battery-staple";

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void A_specification_is_read_as_it_was_written()
    {
        VmSpec spec = Spec(ModuleAddresses.ByName, FreePages.Zeroed) with { Table = new() { Store = "etcd://10.0.0.1:2379/kaslrmt" }, Initrd = "/initrd", TranslatedCode = 64 << 20 };
        byte[] text = spec.ToBytes();
        VmSpec read = VmSpec.Of(text);
        Assert.Equal(text, read.ToBytes());
        Assert.Equal(spec.HypervisorArguments, read.HypervisorArguments);
        Assert.Equal(spec with { HypervisorArguments = read.HypervisorArguments }, read);

        using VmFolder folder = RuntimeDirectory.Open(_scratch.At("run")).Claim("web1");
        spec.WriteTo(folder);
        Assert.Equal(text, VmSpec.ReadFrom(folder).ToBytes());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder.Path, "plan")));
    }

    [Fact]
    public void Anything_else_is_refused()
    {
        byte[] good = Spec().ToBytes();
        string text = Encoding.UTF8.GetString(good);
        byte[][] bad =
        [
            [], good[..^1], [.. good, .. good], [0xff, 0xfe], "null"u8.ToArray(), "{}"u8.ToArray(), "[]"u8.ToArray(),
            Encoding.UTF8.GetBytes(text.Replace("\"cpus\":2", "\"cpus\":\"two\"", StringComparison.Ordinal)),
            Encoding.UTF8.GetBytes(text.Replace("\"name\"", "\"nome\"", StringComparison.Ordinal)),
            Encoding.UTF8.GetBytes(text.Replace("\"accelerator\":\"Tcg\"", "\"accelerator\":\"Xen\"", StringComparison.Ordinal)),
        ];
        Assert.All(bad, bytes => Assert.Equal(VmErrors.SpecInvalid, Assert.Throws<KaslrMtException>(() => VmSpec.Of(bytes)).Code));

        using VmFolder folder = RuntimeDirectory.Open(_scratch.At("run")).Claim("web1");
        Assert.Equal(VmErrors.SpecInvalid, Assert.Throws<KaslrMtException>(() => VmSpec.ReadFrom(folder)).Code);
        using (FileStream large = File.Create(Path.Combine(folder.Path, "plan")))
        {
            large.SetLength(VmSpec.LargestSize + 1);
        }

        Assert.Equal(VmErrors.SpecInvalid, Assert.Throws<KaslrMtException>(() => VmSpec.ReadFrom(folder)).Code);
    }

    [Fact]
    public void Mutated_text_is_refused_or_read_as_some_specification()
    {
        byte[] good = Spec().ToBytes();
        var random = new Random(1);
        for (int round = 0; round < 2000; round++)
        {
            byte[] changed = [.. good];
            for (int change = random.Next(1, 4); change > 0; change--)
            {
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            }

            try
            {
                _ = VmSpec.Of(changed);
            }
            catch (KaslrMtException error)
            {
                Assert.Equal(VmErrors.SpecInvalid, error.Code);
            }
        }
    }

    [Fact]
    public void A_later_version_is_refused_and_what_an_earlier_one_did_not_know_is_as_it_was_then()
    {
        JsonObject later = JsonNode.Parse(Spec().ToBytes())!.AsObject();
        later["version"] = VmSpec.CurrentVersion + 1;
        KaslrMtException refused = Assert.Throws<KaslrMtException>(() => VmSpec.Of(Encoding.UTF8.GetBytes(later.ToJsonString())));
        Assert.Equal(VmErrors.SpecInvalid, refused.Code);
        Assert.Contains("upgrade kaslrmt", refused.Message, StringComparison.Ordinal);

        JsonObject earlier = JsonNode.Parse(Spec(ModuleAddresses.ByName, FreePages.Zeroed).ToBytes())!.AsObject();
        Assert.All((string[])["version", "moduleAddresses", "freePages", "stock", "translatedCode"], name => Assert.True(earlier.Remove(name)));
        VmSpec read = VmSpec.Of(Encoding.UTF8.GetBytes(earlier.ToJsonString()));
        Assert.Equal((1, FreePages.Kept, false), (read.Version, read.FreePages, read.Stock));
        using LayoutRequest request = LayoutRequest.Of(read, VmSecrets.None);
        Assert.Equal(ModuleAddresses.ByOrder, request.Modules);
    }

    // A VM that reboots under another agent must find its modules where the tenant's other VMs have them.
    [Theory]
    [InlineData(ModuleAddresses.ByName)]
    [InlineData(ModuleAddresses.ByOrder)]
    public void A_detached_vm_boots_again_with_its_modules_placed_as_before(ModuleAddresses modules)
    {
        using LayoutRequest again = LayoutRequest.Of(VmSpec.Of(Spec(modules).ToBytes()), VmSecrets.None);
        Assert.Equal(modules, again.Modules);
    }

    // Its kernel would leave other pages behind after a reboot than before.
    [Theory]
    [InlineData(FreePages.Kept)]
    [InlineData(FreePages.Zeroed)]
    public void A_detached_vm_boots_again_with_free_pages_as_before(FreePages pages) => Assert.Equal(pages, VmSpec.Of(Spec(ModuleAddresses.ByOrder, pages).ToBytes()).FreePages);

    [Fact]
    public void A_start_request_arrives_as_it_was_sent_and_shows_no_secret()
    {
        string seed = new('5', 64);
        StartRequest start = new(Spec(), Encoding.ASCII.GetBytes(Key), seed);
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(start, ApiJson.Default.StartRequest);
        StartRequest taken = JsonSerializer.Deserialize(body, ApiJson.Default.StartRequest)!;
        Assert.Equal((Key, seed), (Encoding.ASCII.GetString(taken.Key!), taken.Seed));
        Assert.Equal(start.Spec.ToBytes(), taken.Spec.ToBytes());

        using VmSecrets secrets = new(TenantKey.Parse(taken.Key!), VmSeed.FromHex(taken.Seed!));
        Assert.Equal(Key, Encoding.ASCII.GetString(secrets.Key!.Reveal()));
        Assert.All(
            (string[])[start.ToString(), taken.ToString(), $"{start}", secrets.ToString(), Encoding.UTF8.GetString(start.Spec.ToBytes())],
            text => Assert.False(text.Contains(Key, StringComparison.Ordinal) || text.Contains(seed, StringComparison.Ordinal) || text.Contains(Convert.ToBase64String(start.Key!), StringComparison.Ordinal)));

        // Bodies that are not one.
        foreach (byte[] bad in (byte[][])[[], body[..^1], "{}"u8.ToArray(), "{\"spec\":null}"u8.ToArray(), "{\"spec\":{}}"u8.ToArray(), "7"u8.ToArray()])
        {
            Assert.ThrowsAny<JsonException>(() => JsonSerializer.Deserialize(bad, ApiJson.Default.StartRequest));
        }
    }

    private static VmSpec Spec(ModuleAddresses modules = ModuleAddresses.ByOrder, FreePages pages = FreePages.Kept) => new()
    {
        Version = VmSpec.CurrentVersion,
        Name = "web1",
        Kernel = "/vmlinuz",
        CommandLine = "console=ttyS0",
        Memory = 512 << 20,
        Machine = "q35",
        Policy = "110010",
        Producer = "hkdf",
        ModuleAddresses = ModuleAddressesSetting.Text(modules),
        FreePages = pages,
        Cpus = 2,
        Accelerator = Accelerator.Tcg,
        AcceleratorReason = "asked for",
        Console = VmSpec.SocketConsole,
        HypervisorArguments = ["-device", "virtio-rng-pci"],
        Program = "qemu-system-x86_64",
        FallBackToStock = false,
        Verify = true,
        UseCache = true,
        WorkingDirectory = "/",
    };
}
