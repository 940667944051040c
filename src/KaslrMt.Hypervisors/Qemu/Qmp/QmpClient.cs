using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;

namespace KaslrMt.Hypervisors;

/// <summary>A connection to a QEMU monitor (QMP) over a Unix socket. Commands may be given by several threads at once.</summary>
/// <remarks>
/// QEMU serves one client for each socket; the next one waits. The peer is not trusted: lines are bounded, anything that is not QMP ends the
/// connection with a numbered error, and no wait is without a limit.
/// </remarks>
internal sealed class QmpClient : IAsyncDisposable
{
    /// <summary>The longest line taken, in bytes. The longest QEMU sends (its own schema) is about 200 KiB.</summary>
    public const int LongestLine = 8 << 20;

    /// <summary>How long a command may take unless its caller says otherwise.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(15);

    private const int EventsKept = 1024;

    private readonly Socket _socket;
    private readonly QmpLines _lines;
    private readonly SemaphoreSlim _writing = new(1, 1);
    private readonly CancellationTokenSource _closing = new();
    private readonly ConcurrentDictionary<long, TaskCompletionSource<JsonElement>> _pending = new();

    // A guest can cause events without end (RTC_CHANGE): the oldest go first, so a slow reader costs bounded memory.
    private readonly Channel<QmpEvent> _events = Channel.CreateBounded<QmpEvent>(
        new BoundedChannelOptions(EventsKept) { FullMode = BoundedChannelFullMode.DropOldest, SingleWriter = true });

    private Task _reading = Task.CompletedTask;
    private KaslrMtException? _failure;
    private long _lastId;

    private QmpClient(Socket socket)
    {
        _socket = socket;
        _lines = new QmpLines(socket, LongestLine);
    }

    // unix(7): SO_PEERCRED of a connected socket is the process that listens.
    private static int PeerOf(Socket socket)
    {
        const int SocketLevel = 1, PeerCredentials = 17;
        Span<byte> credentials = stackalloc byte[12];
        socket.GetRawSocketOption(SocketLevel, PeerCredentials, credentials);
        return BitConverter.ToInt32(credentials);
    }

    /// <summary>Events in the order QEMU sent them; completes when the connection ends.</summary>
    public ChannelReader<QmpEvent> Events => _events.Reader;

    /// <summary>Connects and negotiates capabilities.</summary>
    /// <param name="socketPath">The monitor's socket; may be longer than a socket address holds.</param>
    /// <param name="timeout">For the greeting and the negotiation together.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.MonitorClosed"/> when nobody listens, <see cref="HypervisorErrors.MonitorTimeout"/> when nobody greets (or
    /// another client has the monitor), <see cref="HypervisorErrors.MonitorGarbage"/> when it is no monitor.
    /// </exception>
    public static Task<QmpClient> ConnectAsync(string socketPath, TimeSpan timeout, CancellationToken cancellationToken = default) =>
        ConnectAsync(socketPath, timeout, expectedProcess: null, cancellationToken);

    /// <inheritdoc cref="ConnectAsync(string, TimeSpan, CancellationToken)"/>
    /// <param name="socketPath">The monitor's socket; may be longer than a socket address holds.</param>
    /// <param name="timeout">For the greeting and the negotiation together.</param>
    /// <param name="expectedProcess">The QEMU that must listen there: its user may own the folder, and put any socket there. Null where nobody else could.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<QmpClient> ConnectAsync(string socketPath, TimeSpan timeout, int? expectedProcess, CancellationToken cancellationToken)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        QmpClient client = new(socket);
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        try
        {
            using (UnixSocketPath path = UnixSocketPath.For(socketPath))
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path.Short), limit.Token).ConfigureAwait(false);
            }

            if (expectedProcess is int process && PeerOf(socket) != process)
            {
                throw new KaslrMtException(HypervisorErrors.MonitorGarbage, $"another process than the VM's QEMU ({process}) listens at {socketPath}");
            }

            await client.ReadGreetingAsync(limit.Token).ConfigureAwait(false);
            client._reading = Task.Run(client.ReadAllAsync, CancellationToken.None);
            await client.ExecuteAsync("qmp_capabilities", null, timeout, limit.Token).ConfigureAwait(false);
            return client;
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw new KaslrMtException(
                HypervisorErrors.MonitorTimeout,
                $"the monitor at {socketPath} did not greet within {timeout.TotalSeconds:0.#} s",
                "another client may hold it: try again",
                e);
        }
        catch (SocketException e)
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw new KaslrMtException(
                HypervisorErrors.MonitorClosed, $"no monitor at {socketPath} ({e.SocketErrorCode})", "check that the VM runs", e);
        }
        catch
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Gives a command and returns its result.</summary>
    /// <param name="command">For example <c>query-status</c>.</param>
    /// <param name="arguments">Writes the members of the arguments object, or null for none.</param>
    /// <param name="timeout">How long to wait; null for <see cref="DefaultTimeout"/>.</param>
    /// <param name="cancellationToken">Gives up waiting; QEMU may still do it.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.MonitorRefused"/> with QEMU's own words; <see cref="HypervisorErrors.MonitorTimeout"/>;
    /// <see cref="HypervisorErrors.MonitorClosed"/> or <see cref="HypervisorErrors.MonitorGarbage"/> when the connection ended.
    /// </exception>
    public async Task<JsonElement> ExecuteAsync(
        string command, Action<Utf8JsonWriter>? arguments = null, TimeSpan? timeout = null, CancellationToken cancellationToken = default)
    {
        long id = Interlocked.Increment(ref _lastId);
        TaskCompletionSource<JsonElement> reply = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _pending[id] = reply;
        try
        {
            // Registered first, looked at second: whichever way the reader's end races with this, one of the two sees the other.
            if (Volatile.Read(ref _failure) is { } failure)
            {
                throw Again(failure);
            }

            await SendAsync(Compose(command, arguments, id), cancellationToken).ConfigureAwait(false);
            return await reply.Task.WaitAsync(timeout ?? DefaultTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            throw new KaslrMtException(
                HypervisorErrors.MonitorTimeout,
                $"the monitor did not answer '{command}' within {(timeout ?? DefaultTimeout).TotalSeconds:0.#} s",
                inner: e);
        }
        catch (SocketException e)
        {
            throw new KaslrMtException(HypervisorErrors.MonitorClosed, $"the monitor closed before '{command}'", inner: e);
        }
        finally
        {
            _pending.TryRemove(id, out _);
        }
    }

    /// <summary>Gives a command of the human monitor and returns the text it printed.</summary>
    /// <inheritdoc cref="ExecuteAsync" path="/exception"/>
    public async Task<string> HumanAsync(string line, CancellationToken cancellationToken = default)
    {
        JsonElement result = await ExecuteAsync(
            "human-monitor-command", writer => writer.WriteString("command-line", line), null, cancellationToken).ConfigureAwait(false);
        return result.ValueKind == JsonValueKind.String ? result.GetString() ?? "" : "";
    }

    /// <summary>Closes the connection. QEMU goes on.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_closing.IsCancellationRequested)
        {
            await _closing.CancelAsync().ConfigureAwait(false);
        }

        _socket.Dispose();
        await _reading.ConfigureAwait(false);
        Fail(new KaslrMtException(HypervisorErrors.MonitorClosed, "the monitor connection was closed"));
    }

    private static byte[] Compose(string command, Action<Utf8JsonWriter>? arguments, long id)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
        {
            writer.WriteStartObject();
            writer.WriteString("execute", command);
            if (arguments is not null)
            {
                writer.WriteStartObject("arguments");
                arguments(writer);
                writer.WriteEndObject();
            }

            writer.WriteNumber("id", id);
            writer.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }

    // One exception object thrown by many callers would share, and garble, its stack trace.
    private static KaslrMtException Again(KaslrMtException failure) => new(failure.Code, failure.Problem, failure.Remedy, failure);

    private async Task SendAsync(byte[] message, CancellationToken cancellationToken)
    {
        await _writing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // A message cut short would garble the next one: once begun it is sent whole, or the connection ends.
            for (int sent = 0; sent < message.Length;)
            {
                sent += await _socket.SendAsync(message.AsMemory(sent), SocketFlags.None, _closing.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is ObjectDisposedException or OperationCanceledException)
        {
            throw new KaslrMtException(HypervisorErrors.MonitorClosed, "the monitor connection was closed", inner: e);
        }
        finally
        {
            _writing.Release();
        }
    }

    private async Task ReadGreetingAsync(CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte>? line = await _lines.NextAsync(cancellationToken).ConfigureAwait(false);
        if (line is null)
        {
            throw new KaslrMtException(HypervisorErrors.MonitorClosed, "the monitor closed before its greeting");
        }

        using JsonDocument greeting = ParseObject(line.Value);
        if (!greeting.RootElement.TryGetProperty("QMP", out _))
        {
            throw new KaslrMtException(
                HypervisorErrors.MonitorGarbage, $"expected a QMP greeting, found '{Printable.Of(Encoding.UTF8.GetString(line.Value.Span), 60)}'");
        }
    }

    private static JsonDocument ParseObject(ReadOnlyMemory<byte> line)
    {
        try
        {
            JsonDocument document = JsonDocument.Parse(line);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document;
            }

            document.Dispose();
        }
        catch (JsonException)
        {
            // Reported below, together with JSON that is no object.
        }

        throw new KaslrMtException(
            HypervisorErrors.MonitorGarbage,
            $"expected a QMP object, found '{Printable.Of(Encoding.UTF8.GetString(line.Span[..Math.Min(line.Length, 60)]))}'");
    }

    private async Task ReadAllAsync()
    {
        KaslrMtException end = new(HypervisorErrors.MonitorClosed, "the monitor closed the connection");
        try
        {
            while (await _lines.NextAsync(_closing.Token).ConfigureAwait(false) is { } line)
            {
                if (!line.Span.Trim(" \t\r"u8).IsEmpty)
                {
                    using JsonDocument document = ParseObject(line);
                    Take(document.RootElement);
                }
            }
        }
        catch (KaslrMtException e)
        {
            end = e;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            end = new KaslrMtException(HypervisorErrors.MonitorClosed, "the monitor connection was lost", inner: e);
        }

        Fail(end);
    }

    private void Take(JsonElement message)
    {
        if (message.TryGetProperty("event", out JsonElement name) && name.ValueKind == JsonValueKind.String)
        {
            JsonElement data = message.TryGetProperty("data", out JsonElement found) ? found.Clone() : default;
            _events.Writer.TryWrite(new QmpEvent(name.GetString() ?? "", data));
            return;
        }

        // A reply to nobody (a command whose caller gave up, or nonsense) is dropped.
        if (!message.TryGetProperty("id", out JsonElement id) || id.ValueKind != JsonValueKind.Number || !id.TryGetInt64(out long number)
            || !_pending.TryRemove(number, out TaskCompletionSource<JsonElement>? reply))
        {
            return;
        }

        if (message.TryGetProperty("return", out JsonElement result))
        {
            reply.TrySetResult(result.Clone());
            return;
        }

        string words = message.TryGetProperty("error", out JsonElement error) && error.ValueKind == JsonValueKind.Object
            && error.TryGetProperty("desc", out JsonElement text) && text.ValueKind == JsonValueKind.String
            ? Printable.Of(text.GetString())
            : "without a reason";
        reply.TrySetException(new KaslrMtException(HypervisorErrors.MonitorRefused, $"QEMU refused: {words}"));
    }

    private void Fail(KaslrMtException failure)
    {
        KaslrMtException first = Interlocked.CompareExchange(ref _failure, failure, null) ?? failure;
        _events.Writer.TryComplete();
        foreach (long id in _pending.Keys)
        {
            if (_pending.TryRemove(id, out TaskCompletionSource<JsonElement>? reply))
            {
                reply.TrySetException(Again(first));
            }
        }
    }
}
