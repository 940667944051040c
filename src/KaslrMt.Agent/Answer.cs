using System.Text.Json;
using System.Threading.Channels;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>A long answer, line by line as it comes about: log lines, then one outcome.</summary>
internal sealed class Answer
{
    private static readonly byte[] LineEnd = "\n"u8.ToArray();

    private readonly HttpContext _context;
    private readonly Channel<AnswerLine> _lines = Channel.CreateUnbounded<AnswerLine>(new UnboundedChannelOptions { SingleReader = true });

    private Answer(HttpContext context) => _context = context;

    /// <summary>Answers with what the work comes to.</summary>
    /// <param name="context">The request.</param>
    /// <param name="work">The work; is given a taker of log lines, and a token that is cancelled when the caller hangs up.</param>
    public static async Task RunAsync(HttpContext context, Func<Action<string>, CancellationToken, Task<AnswerDone>> work)
    {
        var answer = new Answer(context);
        context.Response.ContentType = "application/x-ndjson";
        Task sending = answer.SendAsync();
        try
        {
            AnswerDone done = await work(answer.Line, context.RequestAborted).ConfigureAwait(false);
            answer._lines.Writer.TryWrite(new AnswerLine { Done = done });
        }
        catch (KaslrMtException error)
        {
            answer._lines.Writer.TryWrite(new AnswerLine { Problem = Problem.Of(error) });
        }
        catch (OperationCanceledException)
        {
            // The caller hung up.
        }
        catch (Exception error)
        {
            // Whatever it was, the agent must not end over it. The message may hold anything, so the type must do.
            answer._lines.Writer.TryWrite(new AnswerLine
            {
                Problem = new(CoreErrors.Internal.ToString(), CoreErrors.Internal.Category, $"internal error ({error.GetType().Name}) in the agent; please report it"),
            });
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
