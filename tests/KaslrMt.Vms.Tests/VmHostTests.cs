using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Tenants;

namespace KaslrMt.Vms.Tests;

/// <summary>What the library refuses before it starts anything; how VMs run is in the boot tests.</summary>
public sealed class VmHostTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    public static TheoryData<string, Func<VmSpec, VmSpec>> Wrong() => new()
    {
        { "0 bytes are not a VM's memory", spec => spec with { Memory = 0 } },
        { "1048577 bytes are not a VM's memory", spec => spec with { Memory = ByteSize.MiB + 1 } },
        { "it has 0 processors", spec => spec with { Cpus = 0 } },
        { "it has 256 processors", spec => spec with { Cpus = 256 } },
        { "the path vmlinuz is not absolute", spec => spec with { Kernel = "vmlinuz" } },
        { "the path initrd is not absolute", spec => spec with { Initrd = "initrd" } },
        { "the path . is not absolute", spec => spec with { WorkingDirectory = "." } },
        { "it is in a tenant table", spec => spec with { Table = new TableSettings(), Tenant = "acme" } },
        { "it is in a tenant table", spec => spec with { Table = new TableSettings() } },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public async Task A_specification_of_no_possible_vm_is_refused_in_one_line_and_its_key_is_cleared(string said, Func<VmSpec, VmSpec> change)
    {
        await using VmHost host = VmHost.Open(_scratch.At("run"));
        TenantKey key = TenantKey.Generate();
        KaslrMtException refused = await Assert.ThrowsAsync<KaslrMtException>(() => host.StartAsync(change(Good()), new VmSecrets(key, null)));
        Assert.Equal(VmErrors.SpecInvalid, refused.Code);
        Assert.StartsWith($"VM 'web1': {said}", refused.Problem, StringComparison.Ordinal);
        Assert.False(string.IsNullOrEmpty(refused.Remedy));
        Assert.Throws<ObjectDisposedException>(() => key.Reveal().Length);
        Assert.Empty(host.Runtime.List());
    }

    [Fact]
    public async Task A_kernel_that_is_not_there_ends_the_start_and_leaves_no_folder()
    {
        await using VmHost host = VmHost.Open(_scratch.At("run"));
        await Assert.ThrowsAsync<KaslrMtException>(() => host.StartAsync(Good(), new VmSecrets(TenantKey.Generate(), null)));
        Assert.Empty(host.Runtime.List());
        Assert.False(Directory.Exists(Path.Combine(host.Runtime.Path, "web1")));
    }

    [Fact]
    public async Task A_store_of_an_unknown_kind_is_refused_and_leaves_no_folder()
    {
        await using VmHost host = VmHost.Open(_scratch.At("run"));
        VmSpec spec = Good() with { Tenant = "acme", Table = new TableSettings { Store = "own:place", StateDirectory = _scratch.At("state") } };
        KaslrMtException refused = await Assert.ThrowsAsync<KaslrMtException>(() => host.StartAsync(spec));
        Assert.Equal(TenantErrors.LocationInvalid, refused.Code);
        Assert.False(Directory.Exists(Path.Combine(host.Runtime.Path, "web1")));
    }

    [Fact]
    public void A_name_that_is_not_legal_is_refused_when_the_vm_is_described() =>
        Assert.Equal(HypervisorErrors.NameInvalid, Assert.Throws<KaslrMtException>(() => VmSpec.Create("../web1", "vmlinuz")).Code);

    [Fact]
    public void A_described_vm_has_absolute_paths_and_the_commands_defaults()
    {
        VmSpec spec = VmSpec.Create("web1", "vmlinuz", "initrd.img");
        Assert.Equal((Path.GetFullPath("vmlinuz"), Path.GetFullPath("initrd.img"), 512 * ByteSize.MiB, "q35"), (spec.Kernel, spec.Initrd, spec.Memory, spec.Machine));
        Assert.Equal(("110010", "hkdf", VmSpec.NoConsole, true, false), (spec.Policy, spec.Producer, spec.Console, spec.Verify, spec.FallBackToStock));
        Assert.Equal(spec.Kernel, VmSpec.Of(spec.ToBytes()).Kernel);
    }

    private VmSpec Good() => VmSpec.Create("web1", _scratch.At("no-kernel"));
}
