using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>The stream of events.</summary>
public sealed class EventTests(RunningAgent agent) : IClassFixture<RunningAgent>
{
    [Fact]
    public async Task A_client_that_stops_reading_delays_nobody()
    {
        const int Vms = 40;
        using RawConnection deaf = await RawConnection.OpenAsync(agent.Socket);
        await deaf.SendAsync("GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n");
        using EventReader events = await agent.Api.EventsAsync();
        string[] names = [.. Enumerable.Range(0, Vms).Select(number => $"vm-{number}")];
        await Task.WhenAll(names.Select(name => agent.Api.StartAsync(Specs.Waiting(name, "/nosuch"))));
        Dictionary<string, List<string>> seen = [];
        while (seen.Values.Count(kinds => kinds.Contains("failed")) < Vms)
        {
            HostEvent one = (await events.NextAsync())!;
            seen.TryAdd(one.Vm, []);
            seen[one.Vm].Add(one.Kind);
        }

        Assert.Equal(names.Order(), seen.Keys.Order());
        Assert.All(seen.Values, kinds => Assert.Equal(["starting", "failed"], kinds));
    }

    [Fact]
    public async Task A_listener_that_is_slow_loses_the_oldest_events()
    {
        var stream = new EventStream(TimeProvider.System);
        using EventStream.Listener slow = stream.Listen();
        for (int number = 0; number < 10_000; number++)
        {
            stream.Tell("starting", Specs.Waiting($"vm-{number}", "/nosuch"));
        }

        List<string> kept = [];
        while (slow.Events.TryRead(out HostEvent? one))
        {
            kept.Add(one.Vm);
        }

        Assert.InRange(kept.Count, 1, 1000);
        Assert.Equal("vm-9999", kept[^1]);
        Assert.False(await slow.Events.WaitToReadAsync().AsTask().WaitAsync(TimeSpan.Zero).ContinueWith(waited => waited.IsCompletedSuccessfully, TaskScheduler.Default));
    }

    [Fact]
    public void A_listener_that_left_is_told_nothing()
    {
        var stream = new EventStream(TimeProvider.System);
        EventStream.Listener gone = stream.Listen();
        gone.Dispose();
        stream.Tell("starting", Specs.Waiting("a", "/nosuch"));
        Assert.False(gone.Events.TryRead(out _));
    }
}
