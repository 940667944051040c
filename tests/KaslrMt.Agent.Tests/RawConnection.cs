using System.Net.Sockets;
using System.Text;

namespace KaslrMt.Agent.Tests;

/// <summary>A connection to the agent, byte by byte.</summary>
internal sealed class RawConnection : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly NetworkStream _stream;

    private RawConnection(Socket socket) => _stream = new NetworkStream(socket, ownsSocket: true);

    public static async Task<RawConnection> OpenAsync(string socket) => new(await AgentApi.ConnectAsync(socket));

    public void Dispose() => _stream.Dispose();

    public Task SendAsync(string text) => _stream.WriteAsync(Encoding.Latin1.GetBytes(text)).AsTask();

    /// <summary>Reads until the agent closes the connection.</summary>
    public async Task<string> ReadToEndAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        using var all = new MemoryStream();
        try
        {
            await _stream.CopyToAsync(all, patience.Token);
        }
        catch (IOException)
        {
            // Closed with bytes of ours unread.
        }

        return Encoding.Latin1.GetString(all.ToArray());
    }

    /// <summary>Sends a byte a second until the agent closes the connection.</summary>
    /// <returns>How many seconds that took.</returns>
    public async Task<int> DripAsync(int most)
    {
        for (int seconds = 0; seconds < most; seconds++)
        {
            try
            {
                await _stream.WriteAsync("x"u8.ToArray());
            }
            catch (IOException)
            {
                return seconds;
            }

            await Task.Delay(1000);
        }

        return most;
    }
}
