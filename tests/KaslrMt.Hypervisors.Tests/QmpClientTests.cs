using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>The monitor's peer is not trusted: whatever it sends, there is an answer or a numbered error, in bounded time and memory.</summary>
public sealed class QmpClientTests : IDisposable
{
    private const string Greeting = """{"QMP":{"version":{},"capabilities":[]}}""" + "\n";

    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan Enough = TimeSpan.FromSeconds(10);

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("hello\n", 3004)]
    [InlineData("[]\n", 3004)]
    [InlineData("{}\n", 3004)]
    [InlineData("\n", 3004)]
    [InlineData("{\"QMP\":", 3006)]
    [InlineData("", 3006)]
    [InlineData("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n", 3004)]
    public async Task A_peer_that_is_no_monitor_is_refused(string says, int code)
    {
        using FakeMonitor server = new(_scratch.At("s"), async peer => await peer.SendAsync(Encoding.UTF8.GetBytes(says)));
        KaslrMtException e = await Assert.ThrowsAsync<KaslrMtException>(() => QmpClient.ConnectAsync(_scratch.At("s"), Enough));
        Assert.Equal(code, e.Code.Number);
    }

    [Fact]
    public async Task A_peer_that_keeps_silent_or_is_not_there_ends_in_time()
    {
        using FakeMonitor server = new(_scratch.At("s"), peer => Task.Delay(Enough));
        KaslrMtException silent = await Assert.ThrowsAsync<KaslrMtException>(() => QmpClient.ConnectAsync(_scratch.At("s"), Soon));
        Assert.Equal(HypervisorErrors.MonitorTimeout, silent.Code);
        KaslrMtException absent = await Assert.ThrowsAsync<KaslrMtException>(() => QmpClient.ConnectAsync(_scratch.At("none"), Soon));
        Assert.Equal(HypervisorErrors.MonitorClosed, absent.Code);
    }

    [Fact]
    public async Task A_line_without_an_end_is_cut_off()
    {
        using FakeMonitor server = new(_scratch.At("s"), async peer =>
        {
            byte[] block = new byte[1 << 16];
            block.AsSpan().Fill((byte)'x');
            while (await peer.SendAsync(block) > 0)
            {
            }
        });
        KaslrMtException e = await Assert.ThrowsAsync<KaslrMtException>(() => QmpClient.ConnectAsync(_scratch.At("s"), Enough));
        Assert.Equal(HypervisorErrors.MonitorGarbage, e.Code);
    }

    [Fact]
    public async Task Replies_find_their_commands_whatever_comes_in_between()
    {
        using FakeMonitor server = new(_scratch.At("s"), async peer =>
        {
            await AnswerHandshakeAsync(peer);
            long first = await ReadIdAsync(peer), second = await ReadIdAsync(peer);
            string reply =
                "\r\n" + """{"return":{"n":0}}""" + "\n" + """{"return":1,"id":"text"}""" + "\n" + """{"return":1,"id":99999}""" + "\n"
                + """{"event":7}""" + "\n" + """{"event":"STOP","data":{"reason":5}}""" + "\n"
                + $$"""{"return":{"n":2},"id":{{second}}}""" + "\n" + $$"""{"return":{"n":1},"id":{{first}}}""" + "\n";
            foreach (byte b in Encoding.UTF8.GetBytes(reply))
            {
                await peer.SendAsync(new[] { b });
            }

            long third = await ReadIdAsync(peer);
            await peer.SendAsync(Encoding.UTF8.GetBytes($$"""{"error":{"class":"X","desc":"no\nway"},"id":{{third}}}""" + "\n"));
            await Task.Delay(Enough);
        });
        await using QmpClient client = await QmpClient.ConnectAsync(_scratch.At("s"), Enough);
        Task<JsonElement> a = client.ExecuteAsync("a");
        Task<JsonElement> b = client.ExecuteAsync("b", writer => writer.WriteNumber("x", 1));
        Assert.Equal((1, 2), ((await a).GetProperty("n").GetInt32(), (await b).GetProperty("n").GetInt32()));
        QmpEvent stop = await client.Events.ReadAsync();
        Assert.Equal(("STOP", null), (stop.Name, stop.Text("reason")));
        KaslrMtException e = await Assert.ThrowsAsync<KaslrMtException>(() => client.ExecuteAsync("c"));
        Assert.Equal((HypervisorErrors.MonitorRefused, "QEMU refused: no way"), (e.Code, e.Message));
    }

    [Fact]
    public async Task A_command_without_a_reply_times_out_and_garbage_fails_those_that_wait()
    {
        using FakeMonitor server = new(_scratch.At("s"), async peer =>
        {
            await AnswerHandshakeAsync(peer);
            await ReadIdAsync(peer);
            await ReadIdAsync(peer);
            await peer.SendAsync("garbage\n"u8.ToArray());
            await Task.Delay(Enough);
        });
        await using QmpClient client = await QmpClient.ConnectAsync(_scratch.At("s"), Enough);
        Assert.Equal(HypervisorErrors.MonitorTimeout, (await Assert.ThrowsAsync<KaslrMtException>(() => client.ExecuteAsync("a", timeout: Soon))).Code);
        Assert.Equal(HypervisorErrors.MonitorGarbage, (await Assert.ThrowsAsync<KaslrMtException>(() => client.ExecuteAsync("b"))).Code);
        Assert.Equal(HypervisorErrors.MonitorGarbage, (await Assert.ThrowsAsync<KaslrMtException>(() => client.ExecuteAsync("c"))).Code);
        Assert.False(await client.Events.WaitToReadAsync());
    }

    [Fact]
    public async Task Events_without_end_cost_bounded_memory_and_the_newest_stay()
    {
        using FakeMonitor server = new(_scratch.At("s"), async peer =>
        {
            await AnswerHandshakeAsync(peer);
            string flood = string.Concat(Enumerable.Range(0, 5000).Select(i => $$$"""{"event":"E{{{i}}}","data":{}}""" + "\n"));
            await peer.SendAsync(Encoding.UTF8.GetBytes(flood));
        });
        await using QmpClient client = await QmpClient.ConnectAsync(_scratch.At("s"), Enough);
        await TestVm.EventuallyAsync(() => client.Events.Completion.IsCompleted || client.Events.Count == 1024, "the flood's end");
        await Task.Delay(100);
        List<string> names = [];
        while (client.Events.TryRead(out QmpEvent message))
        {
            names.Add(message.Name);
        }

        Assert.Equal(1024, names.Count);
        Assert.Equal("E4999", names[^1]);
    }

    private static async Task AnswerHandshakeAsync(Socket peer)
    {
        await peer.SendAsync(Encoding.UTF8.GetBytes(Greeting));
        long id = await ReadIdAsync(peer);
        await peer.SendAsync(Encoding.UTF8.GetBytes($$$"""{"return":{},"id":{{{id}}}}""" + "\n"));
    }

    private static async Task<long> ReadIdAsync(Socket peer)
    {
        List<byte> line = [];
        byte[] one = new byte[1];
        while (await peer.ReceiveAsync(one) == 1 && one[0] != '\n')
        {
            line.Add(one[0]);
        }

        using JsonDocument message = JsonDocument.Parse(line.ToArray());
        return message.RootElement.GetProperty("id").GetInt64();
    }

    private sealed class FakeMonitor : IDisposable
    {
        private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

        internal FakeMonitor(string path, Func<Socket, Task> behaviour)
        {
            _listener.Bind(new UnixDomainSocketEndPoint(path));
            _listener.Listen();
            _ = Task.Run(async () =>
            {
                using Socket peer = await _listener.AcceptAsync();
                try
                {
                    await behaviour(peer);
                }
                catch (SocketException)
                {
                    // The client hung up on us, which is what some tests want.
                }
            });
        }

        public void Dispose() => _listener.Dispose();
    }
}
