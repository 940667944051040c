using System.Diagnostics;

namespace KaslrMt.Agent.Tests;

/// <summary>Waits for what nobody tells of.</summary>
internal static class Eventually
{
    public static async Task HoldsAsync(Func<Task<bool>> holds, string what)
    {
        for (var waited = Stopwatch.StartNew(); !await holds();)
        {
            Assert.True(waited.Elapsed < TimeSpan.FromSeconds(60), $"waited in vain for {what}");
            await Task.Delay(20);
        }
    }

    public static Task HoldsAsync(Func<bool> holds, string what) => HoldsAsync(() => Task.FromResult(holds()), what);
}
