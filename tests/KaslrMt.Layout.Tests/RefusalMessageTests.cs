namespace KaslrMt.Layout.Tests;

/// <summary>What an operator reads when a layout is refused: what was found, what was expected, and what to do. The numbers in them come from the arguments.</summary>
public sealed class RefusalMessageTests
{
    private const string Describe = "describe the guest's memory as its e820 table will";
    private const string Corrupt = "the image is corrupt or no x86-64 kernel";

    [Fact]
    public void A_memory_map()
    {
        Says(LayoutErrors.MemoryMapInvalid, "the guest memory map has no RAM", Describe, () => Map([], []));
        Says(
            LayoutErrors.MemoryMapInvalid,
            "the guest memory map has more than 128 RAM ranges",
            Describe,
            () => Map(Enumerable.Range(0, 129).Select(i => SampleVms.Range((ulong)i * 0x1000, 0x1000)), []));
        Says(
            LayoutErrors.MemoryMapInvalid,
            "the guest memory map has more than 128 reserved ranges",
            Describe,
            () => Map([SampleVms.Range(0, 1)], Enumerable.Range(0, 129).Select(i => SampleVms.Range((ulong)i * 0x1000, 0x1000))));
        Says(
            LayoutErrors.MemoryMapInvalid,
            $"the guest memory map's RAM range at {new PhysicalAddress((1UL << 52) - 1)} ends beyond 2^52",
            Describe,
            () => Map([SampleVms.Range((1UL << 52) - 1, 2)], []));
        Says(
            LayoutErrors.MemoryMapInvalid,
            $"the guest memory map's RAM ranges {SampleVms.Range(0, 0x2000)} and {SampleVms.Range(0x1fff, 0x1000)} overlap",
            Describe,
            () => Map([SampleVms.Range(0x1fff, 0x1000), SampleVms.Range(0, 0x2000)], []));
    }

    [Fact]
    public void A_kernel()
    {
        VirtualAddress link = new(0xffff_ffff_8100_0000), modules = new(0xffff_ffff_c000_0000), map = new(0xffff_ffff_8000_0000);
        PhysicalAddress preferred = new(0x100_0000);
        Says(
            LayoutErrors.GeometryInvalid,
            "kernel_alignment is 0x300000, expected a power of two from 2 MiB to 16 MiB",
            Corrupt,
            () => KernelGeometry.Usual(1, 3 << 20));
        Says(LayoutErrors.GeometryInvalid, "the kernel's size is 0 bytes, expected 1 to 1 GiB", Corrupt, () => KernelGeometry.Usual(0));
        Says(
            LayoutErrors.GeometryInvalid,
            $"the modules' area starts at {map}, expected a page above {map}",
            Corrupt,
            () => _ = new KernelGeometry(link, 1, 2 << 20, preferred, map));
        Says(
            LayoutErrors.GeometryInvalid,
            $"the kernel is linked at {link + 1}, expected a multiple of its alignment from {map} to {modules}",
            Corrupt,
            () => _ = new KernelGeometry(link + 1, 1, 2 << 20, preferred, modules));
        Says(
            LayoutErrors.GeometryInvalid,
            $"pref_address is {new PhysicalAddress(1)}, expected a multiple of the alignment up to 1 GiB",
            Corrupt,
            () => _ = new KernelGeometry(link, 1, 2 << 20, new PhysicalAddress(1), modules));
        Says(
            LayoutErrors.KernelTooLarge,
            $"the kernel of 1073741824 bytes does not fit between {link} and its modules at {modules}",
            "use a smaller kernel",
            () => KernelGeometry.Usual(ByteSize.GiB));
    }

    [Fact]
    public void A_guest_in_which_nothing_fits()
    {
        Says(
            LayoutErrors.NoPhysicalSlot,
            $"no free place above 16 MiB in {SampleVms.Pc(64 * ByteSize.MiB).RamSize} of RAM holds the kernel of 52 MiB",
            "give the guest more memory or a smaller initrd",
            () => SampleVms.Plan(Policy.Default, memory: SampleVms.Pc(64 * ByteSize.MiB)));
        GuestMemoryMap large = SampleVms.Pc(15 * ByteSize.TiB);
        Says(
            LayoutErrors.MemoryTooLarge,
            $"the guest's RAM ends at {large.RamEnd}, there is room for {new PhysicalAddress(15 * ByteSize.TiB)}",
            "give the guest at most 15T of memory, holes included",
            () => SampleVms.Plan(Policy.Default, memory: large));
        Says(
            LayoutErrors.LinkAddressTaken,
            $"nokaslr puts the kernel at {new PhysicalAddress(0x100_0000)}-{new PhysicalAddress(0x440_0000)}, which is not all free RAM",
            "give the guest more memory or a smaller initrd, or remove nokaslr",
            () => LayoutPlanner.PlanLink(SampleVms.Kernel61, SampleVms.Pc(64 * ByteSize.MiB)));
    }

    [Fact]
    public void A_secret_that_is_missing()
    {
        using TenantKey key = SampleVms.Key(1);
        using VmSeed seed = SampleVms.Seed(1);
        using KernelLayout layout = LayoutPlanner.Plan(SampleVms.Kernel61, SampleVms.Pc(ByteSize.GiB), Policy.Default, key, seed, AddressProducers.Default);
        using DerivedSlots draws = DerivedSlots.Of(layout);
        Says(
            LayoutErrors.KeyMissing,
            "policy 110010 has per-tenant regions and there is no tenant key",
            "give a tenant key or policy 000000",
            () => LayoutPlanner.Plan(SampleVms.Kernel61, SampleVms.Pc(ByteSize.GiB), Policy.Default, null, seed, AddressProducers.Default));
        Action[] seedless =
        [
            () => LayoutPlanner.Plan(SampleVms.Kernel61, SampleVms.Pc(ByteSize.GiB), Policy.Default, key, null, AddressProducers.Default),
            () => LayoutPlanner.Plan(SampleVms.Kernel61, SampleVms.Pc(ByteSize.GiB), Policy.Default, draws, null),
        ];
        Assert.All(seedless, action =>
            Says(LayoutErrors.SeedMissing, "policy 110010 has per-VM regions and there is no VM seed", "draw a VM seed", action));
        Says(
            LayoutErrors.DrawUnknown,
            "without the tenant key there is no base for kernel-virtual: the kernel or the memory is not the one the VM booted with before",
            "give the tenant key, or the earlier kernel",
            () => LayoutPlanner.Plan(SampleVms.Kernel612, SampleVms.Pc(ByteSize.GiB), Policy.Default, draws, seed));
    }

    [Fact]
    public void A_policy_a_producer_a_seed_or_a_key()
    {
        Says(
            LayoutErrors.PolicyMalformed,
            "a policy is six digits of 0 and 1, found '1' (1 digits)",
            "write one digit (1 = per tenant) for modules, vmemmap, vmalloc, physmap, kernel virtual, kernel physical, such as 110010",
            () => Policy.Parse("1"));
        Says(LayoutErrors.ProducerUnknown, "there is no address producer of this name, expected one of: hkdf, paper", null, () => AddressProducers.Parse("x"));
        const string Seed = "give 32 bytes as hexadecimal digits without a prefix, or leave the seed out to have one drawn";
        Says(LayoutErrors.SeedMalformed, "a VM seed is 64 hexadecimal digits, found 1 characters", Seed, () => VmSeed.FromHex("0"));
        Says(LayoutErrors.SeedMalformed, "a VM seed is 64 hexadecimal digits, character 64 is none", Seed, () => VmSeed.FromHex(new string('0', 63) + "g"));
        Says(
            LayoutErrors.KeyTooShort,
            "the tenant key has 3 characters, at least 10 are needed",
            "generate a key, or use at least 10 random characters from 0x21–0x7e",
            () => TenantKey.Parse("abc"));
    }

    [Fact]
    public void A_command_line()
    {
        const string Example = "write kaslr_mt=KEY-BITMAP, for example kaslr_mt=KEY-110010";
        Says(LayoutErrors.CommandLineNul, "the guest command line holds a NUL character", "the kernel would cut it there: remove it", () => GuestCommandLine.Parse("\0"));
        Says(LayoutErrors.KaslrMtMalformed, "kaslr_mt has no value", Example, () => GuestCommandLine.Parse("kaslr_mt"));
        Says(LayoutErrors.KaslrMtMalformed, "kaslr_mt has no '-' and so no bitmap", Example, () => GuestCommandLine.Parse("kaslr_mt=x"));
        Says(
            LayoutErrors.KaslrMtRepeated,
            "the guest command line has more than one kaslr_mt",
            "keep one",
            () => GuestCommandLine.Parse("kaslr_mt=0xf32v46a2k3y-110010 kaslr_mt=0xf32v46a2k3y-110010"));
        Says(
            LayoutErrors.KaslrMtExposed,
            "kaslr_mt stands in quotes, behind '--' or in another word or spelling, where the guest would see the key",
            Example,
            () => GuestCommandLine.Parse("-- kaslr_mt=x"));
    }

    private static void Map(IEnumerable<PhysicalRange> ram, IEnumerable<PhysicalRange> reserved) => _ = new GuestMemoryMap(ram, reserved);

    private static void Says(ErrorCode code, string problem, string? remedy, Action action)
    {
        KaslrMtException failure = SampleVms.Fails(code, action);
        Assert.Equal((problem, remedy), (failure.Problem, failure.Remedy));
    }
}
