namespace KaslrMt.Agent;

/// <summary>Bounds what the bodies of all requests take of the agent's memory: many small ones are read at once, and few large ones.</summary>
/// <param name="patience">How long one body may take, whole.</param>
internal sealed class BodyLimits(TimeSpan patience) : IDisposable
{
    // What nearly every specification needs; 1,200 of them have 75 MiB.
    private const long Small = 64 << 10;
    private const int MostLarge = 2;

    private readonly SemaphoreSlim _large = new(MostLarge, MostLarge);

    /// <summary>Reads a body.</summary>
    /// <param name="context">The request.</param>
    /// <param name="read">Reads it, until the token says that it takes too long.</param>
    /// <exception cref="BadHttpRequestException">It comes too slowly.</exception>
    public async Task<T> ReadAsync<T>(HttpContext context, Func<CancellationToken, ValueTask<T>> read)
    {
        using var slow = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        slow.CancelAfter(patience);
        bool large = context.Request.ContentLength is not <= Small;
        try
        {
            if (large)
            {
                await _large.WaitAsync(slow.Token).ConfigureAwait(false);
            }

            try
            {
                return await read(slow.Token).ConfigureAwait(false);
            }
            finally
            {
                if (large)
                {
                    _large.Release();
                }
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            throw new BadHttpRequestException("the body comes too slowly", StatusCodes.Status408RequestTimeout);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _large.Dispose();
}
