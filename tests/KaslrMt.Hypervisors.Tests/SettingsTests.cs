namespace KaslrMt.Hypervisors.Tests;

/// <summary>What an operator asks for is taken as meant, or refused with the reason.</summary>
public sealed class SettingsTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("-daemonize")]
    [InlineData("--daemonize")]
    [InlineData("-kernel")]
    [InlineData("-m")]
    [InlineData("-M")]
    [InlineData("--machine")]
    [InlineData("-smp")]
    [InlineData("-accel")]
    [InlineData("-runas")]
    [InlineData("-incoming")]
    [InlineData("-a\0b")]
    public void Arguments_that_take_the_vm_out_of_our_hands_are_refused(string argument)
    {
        KaslrMtException e = Assert.Throws<KaslrMtException>(() => UserArguments.Parse(["-device", "x", argument, "y"]));
        Assert.Equal(HypervisorErrors.ArgumentRefused, e.Code);
    }

    [Fact]
    public void Other_arguments_come_last_and_unchanged_and_replace_our_choices()
    {
        string[] given = ["-qmp", "unix:/x,server=on", "-cpu", "Nehalem", "-no-reboot", "-S", "-netdev", "user,id=n,hostfwd=tcp::1-:2", "-append2", ""];
        UserArguments user = UserArguments.Parse(given);
        Assert.Equal((true, true, true), (user.SetsCpu, user.RebootEnds, user.StaysPaused));
        MachineDefinition settings = TestVm.Settings(QemuMachine.Q35) with { UserArguments = user, Cpus = 3, CommandLine = "a \"b,c\"" };
        List<string> built = QemuArguments.Build(settings, "v", "/p,q", ["/s,1", "/s2"], null);
        Assert.Equal(given, built[^given.Length..]);
        Assert.Single(built, "-cpu");
        Assert.Equal("/p,q/qemu.pid", built[built.IndexOf("-pidfile") + 1]);
        Assert.Contains("pipe,id=kaslrmt-events,path=/p,,q/events", built);
        Assert.Contains("socket,id=kaslrmt-monitor0,path=/s,,1,server=on,wait=off", built);
        Assert.Equal("a \"b,c\"", built[built.IndexOf("-append") + 1]);
        Assert.Equal("3", built[built.IndexOf("-smp") + 1]);
        Assert.DoesNotContain("-serial", built);
    }

    [Fact]
    public void Auto_takes_kvm_only_where_it_can_work()
    {
        string device = _scratch.At("kvm"), with = _scratch.At("with"), without = _scratch.At("without");
        File.WriteAllText(device, "");
        File.WriteAllText(with, "processor : 0\nflags\t\t: fpu vmx sse\n");
        File.WriteAllText(without, "processor : 0\nflags\t\t: fpu vmxx sse\nvmx flags\t: vnmi vmx\n");
        Assert.Equal(("kvm", "host"), Chosen(Accelerator.Auto, device, with));
        Assert.Equal(("tcg", "max"), Chosen(Accelerator.Auto, device, without));
        Assert.Equal(("tcg", "max"), Chosen(Accelerator.Auto, _scratch.At("absent"), with));
        Assert.Equal(("tcg", "max"), Chosen(Accelerator.Tcg, device, with));
        Assert.Contains("neither vmx nor svm", AcceleratorChoice.Decide(Accelerator.Auto, device, without).Reason, StringComparison.Ordinal);
        Assert.Equal(
            HypervisorErrors.KvmUnavailable,
            Assert.Throws<KaslrMtException>(() => AcceleratorChoice.Decide(Accelerator.Kvm, device, without)).Code);

        static (string, string) Chosen(Accelerator asked, string device, string cpuInfo)
        {
            AcceleratorChoice choice = AcceleratorChoice.Decide(asked, device, cpuInfo);
            return (choice.Argument, choice.CpuModel);
        }
    }

    [Fact]
    public void A_microvm_under_tcg_is_told_what_it_cannot_measure_unless_the_user_did()
    {
        AcceleratorChoice tcg = new(Accelerator.Tcg, ""), kvm = new(Accelerator.Kvm, "");
        Assert.Equal("tsc_early_khz=7 reboot=t a -- b", GuestClock.Complete("a -- b", QemuMachine.Microvm, tcg, () => 7));
        Assert.Equal("tsc_early_khz=7 reboot=t", GuestClock.Complete(null, QemuMachine.Microvm, tcg, () => 7));
        Assert.Equal("reboot=t tsc_early_khz=9", GuestClock.Complete("tsc_early_khz=9", QemuMachine.Microvm, tcg, () => 7));
        Assert.Equal("reboot=t a", GuestClock.Complete("a", QemuMachine.Microvm, tcg, () => null));
        Assert.Equal("reboot=t a", GuestClock.Complete("a", QemuMachine.MicrovmWithoutAcpi, tcg, () => 7));
        Assert.Equal("a", GuestClock.Complete("a", QemuMachine.Microvm, kvm, () => 7));
        Assert.Equal("a", GuestClock.Complete("a", QemuMachine.Pc, tcg, () => 7));
        Assert.InRange(GuestClock.HostTscKilohertz() ?? 0, 100_000, 10_000_000);
    }

    [Fact]
    public void Unknown_words_are_refused_with_the_known_ones()
    {
        Assert.Contains("q35", Assert.Throws<KaslrMtException>(() => QemuMachine.Parse("isapc")).Message, StringComparison.Ordinal);
        Assert.Contains("tcg", Assert.Throws<KaslrMtException>(() => AcceleratorChoice.Parse("hvf")).Message, StringComparison.Ordinal);
        Assert.Equal(QemuMachine.All, QemuMachine.All.Select(machine => QemuMachine.Parse(machine.Argument)));
    }

    [Theory]
    [InlineData("guest-reset", ShutdownReason.Reboot)]
    [InlineData("host-qmp-system-reset", ShutdownReason.Reboot)]
    [InlineData("guest-shutdown", ShutdownReason.GuestShutdown)]
    [InlineData("guest-panic", ShutdownReason.GuestPanic)]
    [InlineData("host-qmp-quit", ShutdownReason.MonitorQuit)]
    [InlineData("host-signal", ShutdownReason.HostSignal)]
    [InlineData("something-new", ShutdownReason.Unexplained)]
    public void Every_shutdown_cause_has_its_reason(string cause, ShutdownReason expected)
    {
        using System.Text.Json.JsonDocument data = System.Text.Json.JsonDocument.Parse($$"""{"guest":true,"reason":"{{cause}}"}""");
        Assert.Equal(expected, VmExit.Explain(new QmpEvent("SHUTDOWN", data.RootElement)));
    }
}
