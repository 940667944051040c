using KaslrMt.Layout;
using KaslrMt.Tenants;
using Xunit;

namespace KaslrMt.TestSupport;

/// <summary>Short names for what every test does.</summary>
internal static class Table
{
    internal static readonly HostIdentity HostA = new("h-a", "alpha", "boot-a");
    internal static readonly HostIdentity HostB = new("h-b", "beta", "boot-b");
    internal static readonly Actor Tester = new(1000, "tester", 1, "h-a");
    internal static readonly TimeSpan Lease = TimeSpan.FromMinutes(5);

    internal static StartVm Start(string tenant, string name, string host = "h-a") =>
        new(tenant, name, host, Policy.Default, Guid.NewGuid(), [ProcessMark.Current], "6.1.0-test");

    internal static Task<Outcome> DoAsync(this ITenantStore store, TableCommand command) => store.ApplyAsync(command, Tester);

    internal static async Task<string> StartAsync(this ITenantStore store, string tenant, string name, string host = "h-a")
    {
        using Outcome outcome = await store.DoAsync(Start(tenant, name, host));
        return System.Text.Encoding.ASCII.GetString(outcome.TenantKey!.Reveal());
    }

    internal static async Task RunAsync(this ITenantStore store, string name)
    {
        VmRecord vm = (await store.FindVmAsync(name))!;
        await store.DoAsync(new ReportRunning(name, vm.Incarnation, [ProcessMark.Current]));
    }

    internal static async Task<List<T>> AllAsync<T>(this IAsyncEnumerable<T> source) => await source.ToListAsync();

    internal static Task RefusedAsync(ErrorCode expected, Func<Task> work) => RefusedAnyAsync([expected], work);

    internal static async Task RefusedAnyAsync(ErrorCode[] expected, Func<Task> work)
    {
        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(work);
        Assert.True(expected.Contains(error.Code), $"expected {string.Join(" or ", expected)}, got {error.Code}: {error.Message}");
        Assert.False(string.IsNullOrEmpty(error.Remedy), $"{error.Code} says nothing to do");
    }

    internal static async Task SoundAsync(ITenantStore store)
    {
        Assert.Empty(await store.CheckAsync());
        Assert.Empty(await HistoryCheck.RunAsync(store));
    }

    internal static async Task EventuallyAsync(Func<Task<bool>> holds, string what)
    {
        for (int i = 0; i < 1200; i++)
        {
            if (await holds())
            {
                return;
            }

            await Task.Delay(50);
        }

        Assert.Fail($"waited in vain for {what}");
    }
}
