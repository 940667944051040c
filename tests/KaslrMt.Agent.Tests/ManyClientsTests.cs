using System.Net.Http.Headers;
using System.Text;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>Many clients, and slow ones.</summary>
public sealed class ManyClientsTests(RunningAgent agent) : IClassFixture<RunningAgent>
{
    private const int Many = 1000;

    [Fact]
    public async Task A_thousand_requests_at_once_are_all_answered_in_bounded_memory()
    {
        int before = agent.Descriptors;
        RawConnection[] clients = await Task.WhenAll(Enumerable.Range(0, Many).Select(_ => RawConnection.OpenAsync(agent.Socket)));
        string[] answers = await Task.WhenAll(clients.Select(async (client, number) =>
        {
            await client.SendAsync($"GET {(number % 2 == 0 ? "/v1/vms" : "/v1")} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            return await client.ReadToEndAsync();
        }));
        Assert.All(answers, answer => Assert.StartsWith("HTTP/1.1 200 OK\r\n", answer, StringComparison.Ordinal));
        Assert.All(clients, client => client.Dispose());
        Assert.InRange(agent.PeakMemory, 1, 400);
        await Eventually.HoldsAsync(() => agent.Descriptors <= before + 8, "the connections to be closed");
    }

    [Fact]
    public async Task Large_bodies_are_read_few_at_a_time()
    {
        byte[] body = Encoding.ASCII.GetBytes($"{{\"spec\":{{\"name\":\"{new string('a', VmSpec.LargestSize - 100)}\"}}}}");
        ApiAnswer[] answers = await Task.WhenAll(Enumerable.Range(0, 60).Select(_ => agent.Api.SendAsync(
            HttpMethod.Post, "v1/vms", new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } })));
        Assert.All(answers, answer => answer.FailedWith(400, VmErrors.RequestInvalid));
        Assert.InRange(agent.PeakMemory, 1, 400);
    }

    [Fact]
    public async Task Clients_that_send_a_byte_a_second_are_cut_off_and_delay_nobody()
    {
        const int MostSeconds = 60;
        using RawConnection headers = await RawConnection.OpenAsync(agent.Socket);
        using RawConnection body = await RawConnection.OpenAsync(agent.Socket);
        await headers.SendAsync("GET /v1 HTTP/1.1\r\nX-Slow: ");
        await body.SendAsync("POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
        Task<int> slowHeaders = headers.DripAsync(MostSeconds), slowBody = body.DripAsync(MostSeconds);
        Task<string> first = headers.ReadToEndAsync(), second = body.ReadToEndAsync();
        int served = 0;
        while (!first.IsCompleted || !second.IsCompleted)
        {
            Assert.Equal(200, (await agent.Api.GetAsync("v1/vms")).Status);
            served++;
            await Task.WhenAny(Task.WhenAll(first, second), Task.Delay(100));
        }

        Assert.InRange(await slowHeaders, 1, MostSeconds - 1);
        Assert.InRange(await slowBody, 1, MostSeconds - 1);
        Assert.StartsWith("HTTP/1.1 408 ", await first, StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 408 ", await second, StringComparison.Ordinal);
        Assert.Contains(VmErrors.RequestInvalid.ToString(), await second, StringComparison.Ordinal);
        Assert.True(served > 5, $"{served} requests were served meanwhile");
    }

    [Fact]
    public async Task A_body_that_is_cut_off_is_no_crash()
    {
        using (RawConnection raw = await RawConnection.OpenAsync(agent.Socket))
        {
            await raw.SendAsync("POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{\"spec\":");
        }

        Assert.Equal(200, (await agent.Api.GetAsync("v1")).Status);
    }

    [Fact]
    public void A_user_other_than_the_agent_s_has_a_bounded_number_of_connections()
    {
        var limits = new ConnectionLimits(new Access(new HostConfiguration(), ownUser: 0));
        for (int i = 0; i < ConnectionLimits.MostOfOne; i++)
        {
            Assert.True(limits.TryEnter(1000));
        }

        Assert.False(limits.TryEnter(1000));
        Assert.True(limits.TryEnter(1001));
        limits.Leave(1000);
        Assert.True(limits.TryEnter(1000));
        int others = Enumerable.Range(2000, 20).Sum(user => Enumerable.Range(0, ConnectionLimits.MostOfOne).Count(_ => limits.TryEnter((uint)user)));
        Assert.Equal(ConnectionLimits.MostOfAll - ConnectionLimits.MostOfOne - 1, others);
    }
}
