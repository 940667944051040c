using Xunit.Abstractions;

namespace KaslrMt.NestedTests;

/// <summary>The agent as a service of real systemd, with VMs running: whatever happens to the service happens to no VM.</summary>
public sealed class SystemdTests(NestedGuest guest, ITestOutputHelper output) : IClassFixture<NestedGuest>
{
    [Theory]
    [InlineData("unit-is-sound")]
    [InlineData("unit-is-hardened")]
    [InlineData("started")]
    [InlineData("run-web1")]
    [InlineData("run-web2")]
    [InlineData("scope")]
    [InlineData("qemu-has-no-rights")]
    [InlineData("listed")]
    [InlineData("restart")]
    [InlineData("stop")]
    [InlineData("start-again")]
    [InlineData("kill-9")]
    [InlineData("upgrade")]
    [InlineData("upgrade-runs-the-new-file")]
    [InlineData("oom")]
    [InlineData("worker-oom")]
    [InlineData("watchdog-is-fed")]
    [InlineData("watchdog")]
    [InlineData("verify-web1")]
    [InlineData("verify-web2")]
    [InlineData("stop-vm")]
    [InlineData("ended-meanwhile")]
    [InlineData("nothing-failed")]
    public void Check(string name)
    {
        Assert.True(guest.Verdicts.TryGetValue(name, out NestedGuest.Verdict verdict), $"the driver said nothing of {name}:\n{guest.Transcript}");
        output.WriteLine(verdict.Detail);
        Assert.True(verdict.Passed, $"{verdict.Detail}\n{guest.Transcript}");
    }

    [Fact]
    public void The_driver_came_to_its_end_and_no_check_failed()
    {
        Assert.True(guest.IsDone, guest.Transcript);
        Assert.All(guest.Verdicts, verdict => Assert.True(verdict.Value.Passed, $"{verdict.Key}: {verdict.Value.Detail}"));
        output.WriteLine(guest.Transcript);
    }
}
