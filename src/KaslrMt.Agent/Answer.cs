using System.Text.Json;
using System.Threading.Channels;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>A long answer, line by line as it comes about: log lines, then one outcome.</summary>
internal sealed class Answer
{
    private const int MostWaiting = 4096;

    private static readonly byte[] LineEnd = "\n"u8.ToArray();

    private readonly HttpContext _context;

    // A caller that does not read loses old lines; the outcome is the newest.
    private readonly Channel<AnswerLine> _lines = Channel.CreateBounded<AnswerLine>(
        new BoundedChannelOptions(MostWaiting) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    private Answer(HttpContext context) => _context = context;

    /// <summary>Answers with what the work comes to.</summary>
    /// <param name="context">The request.</param>
    /// <param name="work">The work; is given a taker of log lines, and a token that is cancelled when the caller hangs up.</param>
    public static async Task RunAsync(HttpContext context, Func<Action<string>, CancellationToken, Task<AnswerDone>> work)
    {
        var answer = new Answer(context);
        context.Response.ContentType = "application/x-ndjson";
        CancellationToken ending = context.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        Task sending = answer.SendAsync();
        try
        {
            AnswerDone done = await work(answer.Line, context.RequestAborted).WaitAsync(ending).ConfigureAwait(false);
            answer._lines.Writer.TryWrite(new AnswerLine { Done = done });
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
        {
            answer._lines.Writer.TryWrite(new AnswerLine
            {
                Problem = Problem.Of(new KaslrMtException(VmErrors.AgentFailed, "the agent ends before the outcome is known", "its VMs run on: ask the next agent")),
            });
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller hung up.
        }
        catch (Exception error)
        {
            // Whatever it was, the agent must not end over it.
            answer._lines.Writer.TryWrite(new AnswerLine { Problem = Failures.Of(error, context) });
        }

        answer._lines.Writer.Complete();
        await sending.ConfigureAwait(false);
    }

    private void Line(string text) => _lines.Writer.TryWrite(new AnswerLine { Line = Printable.Of(text, 2000) });

    private async Task SendAsync()
    {
        try
        {
            await foreach (AnswerLine line in _lines.Reader.ReadAllAsync().ConfigureAwait(false))
            {
                await _context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(line, ApiJson.Default.AnswerLine)).ConfigureAwait(false);
                await _context.Response.Body.WriteAsync(LineEnd).ConfigureAwait(false);
                await _context.Response.Body.FlushAsync().ConfigureAwait(false);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // The caller hung up; the work goes on or is cancelled by its own token.
        }
    }
}
