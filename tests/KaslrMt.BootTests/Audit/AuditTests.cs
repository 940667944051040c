using System.Text;
using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.BootTests.Audit;

/// <summary>An audit finds exactly what was planted in a live guest, and nothing in a clean one.</summary>
public sealed class AuditTests : IDisposable
{
    private const ulong NotExecutable = 1UL << 63;
    private const ulong User = 1 << 2;

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud", 1)]
    [InlineData("6.12-cloud", 2)]
    public async Task A_clean_guest_of_ours_has_no_finding_and_each_planted_fault_is_found_alone(string kernel, int cpus)
    {
        GuestPlan plan = new() { Kernel = kernel, Cpus = cpus, Seed = TestSecrets.Seed($"audit {kernel}") };
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, plan);
        using QemuMemory memory = await guest.OpenMemoryAsync();
        using KernelImage image = KernelImage.Open(TestKernels.Image(kernel));
        using TenantKey key = TenantKey.Parse(TestSecrets.Key(plan.Tenant));
        using VmSeed seed = VmSeed.FromHex(plan.Seed);
        using SecretTraces secrets = SecretTraces.Of(key, seed);
        AuditSubject subject = new(GuestKernel.Find(memory)) { Image = image, Secrets = secrets };
        CheckClean(subject);
        using GuestWriter writer = await GuestWriter.OpenAsync(guest.State.ProcessId!.Value, Path.Combine(guest.Folder, "qmp.sock"), memory);
        Planted planted = new(subject, writer);

        planted.Code("__x64_sys_setpgid", 0, "consensus", "__x64_sys_setpgid+0x", [0xe9, 0x11, 0x22, 0x33, 0x04]);
        planted.Code("vfs_fsync_range", 0x21, "consensus", "vfs_fsync_range+0x21", [0x0b]);
        planted.Code(planted.TraceSite("__x64_sys_getppid"), "consensus", planted.Call(planted.TraceSite("__x64_sys_getppid"), planted.ModuleAddress()));
        planted.Code(planted.TraceSite("__x64_sys_getuid"), "consensus", planted.Call(planted.TraceSite("__x64_sys_getuid"), subject.Kernel.Symbol("commit_creds")!.Value));
        planted.Code(planted.JumpLabel(), "consensus", [0xe9, 0x00, 0x01, 0x00, 0x00]);
        planted.Code(subject.Kernel.Symbol("__SCT__might_resched")!.Value, "consensus", planted.Call(subject.Kernel.Symbol("__SCT__might_resched")!.Value, planted.ModuleAddress(), 0xe9));

        VirtualAddress page = planted.DirectMap(planted.FreePage());
        planted.Entry(page, (entry, isLeaf) => isLeaf ? entry & ~NotExecutable : entry, "wx", page);
        planted.Entry(page, (entry, _) => entry | User, "user", page);
        planted.Guard();
        planted.Secret(key.Reveal(), "all of the tenant key");
        planted.Secret(seed.Reveal(), "all of the VM seed");
        planted.Secret(Encoding.ASCII.GetBytes(Convert.ToHexStringLower(seed.Reveal())[5..50]), "part of the VM seed in hexadecimal");
        planted.Secret(secrets.Reveal(secrets.Count - 1)[10..30], "part of what is derived from the VM seed for modules");

        CheckClean(subject);
    }

    [Theory]
    [InlineData("6.1-cloud", "q35")]
    [InlineData("6.12-cloud", "pc")]
    public async Task A_guest_that_nobody_prepared_has_one_finding_the_address_that_its_init_logged(string kernel, string machine)
    {
        const string Then = """
            echo "<4>a module's greeting: $(grep -m1 ' _text$' /proc/kallsyms | cut -c1-16) is here" > /dev/kmsg
            echo "<4>and 0x$(grep -m1 ' _text$' /proc/kallsyms | cut -c1-12) is not, nor 0xffffffffffffffff, nor ffffffffffffff01" > /dev/kmsg
            echo "<4>kmt logged" > /dev/kmsg
            sleep 100000
            """;
        await using StockGuest guest = await StockGuest.StartAsync(_scratch, kernel, monitor: true, then: Then, arguments: ["-machine", machine, "-cpu", "max", "-m", "512M"]);
        await using QemuGuest open = await guest.OpenAsync();
        using KernelImage image = KernelImage.Open(TestKernels.Image(kernel));
        using TenantKey key = TenantKey.Parse(TestSecrets.Key("nobody"));
        using SecretTraces secrets = SecretTraces.Of(key);
        AuditSubject subject = new(GuestKernel.Find(open.Memory, open.Hints)) { Image = image, Secrets = secrets };
        for (int i = 0; i < 100 && !KernelLog.Read(subject.Kernel).Any(message => message.Text.Span.IndexOf("kmt logged"u8) >= 0); i++)
        {
            await Task.Delay(50);
        }

        IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(subject, AuditCheckRegistry.BuiltIn);
        Assert.All(outcomes, outcome => Assert.Null(outcome.NotDone));
        AuditFinding leak = Assert.Single(outcomes.SelectMany(outcome => outcome.Findings));
        Assert.Equal("log", leak.Check);
        Assert.Contains("an address in kernel-virtual: a module's greeting: ffff************ is here", leak.What, StringComparison.Ordinal);
        Assert.DoesNotContain($"{guest.View.Text:x16}", leak.What, StringComparison.Ordinal);
        AuditSubject shown = new(subject.Kernel) { ShowAddresses = true };
        AuditOutcome log = Assert.Single(GuestAudit.Run(shown, AuditCheckRegistry.BuiltIn.Where(check => check.Name == "log")));
        Assert.Contains($"{guest.View.Text:x16}", Assert.Single(log.Findings).What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Guests_of_a_tenant_have_the_same_code_without_any_kernel_file_and_a_hook_in_one_of_them_is_found()
    {
        GuestPlan plan = new() { Seed = TestSecrets.Seed("consensus 1") };
        await using TestGuest first = await TestGuest.StartAsync(_scratch, plan);
        await using TestGuest second = await TestGuest.StartAsync(_scratch, plan with { Policy = "000010", Seed = TestSecrets.Seed("consensus 2") });
        using QemuMemory memory = await first.OpenMemoryAsync();
        using QemuMemory other = await second.OpenMemoryAsync();
        using GuestWriter writer = await GuestWriter.OpenAsync(first.State.ProcessId!.Value, Path.Combine(first.Folder, "qmp.sock"), memory);
        GuestKernel kernel = GuestKernel.Find(memory);
        CodeSnapshot clean = CodeSnapshot.Take("second", new AuditSubject(GuestKernel.Find(other)));
        Assert.Equal(["dummy", "the kernel"], clean.Texts.Keys.Select(text => text.Name).Order(StringComparer.Ordinal));
        Assert.All(CodeConsensus.Compare([CodeSnapshot.Take("first", new AuditSubject(kernel)), clean]), Assert.Empty);

        Assert.Equal("the kernel's text and 1 modules", clean.ComparedWith([clean, CodeSnapshot.Take("first", new AuditSubject(kernel))]));
        Assert.Null(clean.ComparedWith([clean]));

        VirtualAddress module = Assert.Single(GuestModules.Read(kernel).InLoadOrder).Address!.Value;
        Check(module + 0x43, "[dummy]");
        Check(kernel.Symbol("vfs_fsync_range")!.Value + 0x21, "vfs_fsync_range+0x");
        Assert.All(CodeConsensus.Compare([CodeSnapshot.Take("first", new AuditSubject(kernel)), clean]), Assert.Empty);

        void Check(VirtualAddress address, string where)
        {
            byte[] original = new byte[1];
            Assert.True(kernel.TryRead(address, original));
            writer.Write(kernel, address, [(byte)(original[0] ^ 0x0b)]);
            CodeSnapshot hooked = CodeSnapshot.Take("first", new AuditSubject(kernel));
            writer.Write(kernel, address, original);

            // Of two, nobody knows which is right; of three it is the one that stands alone.
            Assert.All(CodeConsensus.Compare([hooked, clean]), found => Assert.NotEmpty(found));
            IReadOnlyList<IReadOnlyList<AuditFinding>> three = CodeConsensus.Compare([clean, hooked, clean]);
            AuditFinding finding = Assert.Single(three.SelectMany(found => found));
            Assert.Single(three[1]);
            Assert.Contains(where, finding.Where, StringComparison.Ordinal);
            Assert.True(address - finding.Address!.Value < 16, "found elsewhere");
        }
    }

    private static void CheckClean(AuditSubject subject)
    {
        IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(Fresh(subject), AuditCheckRegistry.BuiltIn);
        Assert.All(outcomes, outcome => Assert.Null(outcome.NotDone));
        Assert.True(outcomes.All(outcome => outcome.IsClean), Text(outcomes));
    }

    /// <summary>What is remembered of a guest is of the past once something is planted.</summary>
    internal static AuditSubject Fresh(AuditSubject subject) => new(GuestKernel.Find(subject.Memory)) { Image = subject.Image, Secrets = subject.Secrets };

    internal static string Text(IEnumerable<AuditOutcome> outcomes) =>
        string.Join('\n', outcomes.SelectMany(outcome => outcome.Findings).Select(finding => $"{finding.Check}: {finding.Where}: {finding.What}"));
}
