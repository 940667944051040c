using System.Text.Json;
using KaslrMt.BootTests.Running;

namespace KaslrMt.BootTests;

/// <summary><c>verify</c> over a tenant's running VMs, and the same at every start.</summary>
public sealed class PromiseTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_tenants_VMs_are_compared_with_each_other()
    {
        GuestPlan plan = new() { Kernel = "6.12-cloud", Memory = "256M", Seed = TestSecrets.Seed("promise a") };
        await using TestGuest first = await TestGuest.StartAsync(_scratch, plan);
        await using TestGuest second = await TestGuest.StartAsync(_scratch, plan with { Seed = TestSecrets.Seed("promise b") });
        await second.WaitForLogAsync("layout verified");
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(_scratch, "verify", "--tenant", plan.Tenant, "--json");
        Assert.True(code == 0, output + error);
        JsonElement[] reports = [.. JsonDocument.Parse(output).RootElement.EnumerateArray()];
        Assert.Equal(2, reports.Length);
        Assert.All(reports, report => Assert.True(report.GetProperty("promise").GetProperty("holds").GetBoolean()));
        Assert.DoesNotContain("WARNING", first.Log + second.Log, StringComparison.Ordinal);

        // The first one's seed again: no base that is to be its own is. Which single ones are beyond chance depends on their windows.
        await using TestGuest twin = await TestGuest.StartAsync(_scratch, plan);
        await twin.WaitForLogAsync("repeat");
        (code, output, _) = await KaslrmtProcess.RunAsync(_scratch, "verify", twin.Name);
        Assert.Equal(1, code);
        Assert.Contains($"{twin.Name}: the guest's memory holds the layout it was given", output, StringComparison.Ordinal);
        Assert.Matches($"repeat(s| together) in {first.Name}, {twin.Name}", output);
    }

    [Fact]
    public async Task A_VM_under_another_key_than_its_tenants_is_found()
    {
        GuestPlan plan = new() { Kernel = "6.1-cloud", Memory = "256M", Seed = TestSecrets.Seed("promise c") };
        await using TestGuest first = await TestGuest.StartAsync(_scratch, plan);
        await using TestGuest stranger = await TestGuest.StartAsync(
            _scratch, plan with { Seed = TestSecrets.Seed("promise d"), Append = "kaslr_mt=another-key-than-theirs-110010" });
        await stranger.WaitForLogAsync("is per tenant and differs between");
        (int code, string output, _) = await KaslrmtProcess.RunAsync(_scratch, "verify", "--all");
        Assert.Equal(1, code);
        Assert.Contains("tenant tenant: PROMISE BROKEN over its 2 VMs here", output, StringComparison.Ordinal);
        Assert.Contains($"vmemmap is per tenant and differs between {first.Name}, {stranger.Name}", output, StringComparison.Ordinal);
    }
}
