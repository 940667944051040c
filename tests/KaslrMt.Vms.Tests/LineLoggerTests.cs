using KaslrMt.Hypervisors;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms.Tests;

/// <summary>The lines that people and their scripts read stay what they are.</summary>
public sealed class LineLoggerTests
{
    private readonly List<string> _lines = [];

    private LineLogger Log => new(_lines.Add);

    [Fact]
    public void A_message_is_a_line_with_the_programs_name_before_it()
    {
        Log.Started("web", "512 MiB", "q35", "tcg", "KVM is not there");
        Log.LayoutVerified("web");
        Log.EndedUnseen("web", ShutdownReason.Reboot);
        Log.TableAway(VmErrors.Link, "away");
        Assert.Equal(
            [
                "kaslrmt: web: started with 512 MiB, q35, tcg (KVM is not there)",
                "kaslrmt: web: layout verified in the guest's memory",
                "kaslrmt: web: its QEMU ended while no supervisor lived (Reboot)",
                "kaslrmt: KMT9018: this host's VMs run on; the tenant table is tried again: away",
            ],
            _lines);
    }

    [Fact]
    public void A_warning_says_that_it_is_one()
    {
        Log.LayoutDiffers("web");
        Log.PolicyViolated("web", "acme", "two VMs of the tenant differ");
        Assert.Equal(
            [
                "kaslrmt: WARNING: web: the guest's memory does NOT hold the layout it was given",
                "kaslrmt: WARNING: web: tenant acme: two VMs of the tenant differ",
            ],
            _lines);
    }

    [Fact]
    public void Braces_and_percent_signs_in_a_value_stay()
    {
        Log.Problem(VmErrors.Link, "{Vm} {0} %s");
        Assert.Equal(["kaslrmt: KMT9018: {Vm} {0} %s"], _lines);
    }

    [Fact]
    public void What_is_for_developers_is_not_shown()
    {
        Log.Log(LogLevel.Debug, "a detail");
        Log.Log(LogLevel.Trace, "a detail");
        Assert.Empty(_lines);
    }
}
