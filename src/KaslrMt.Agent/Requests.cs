using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>What all requests have in common: the caller is known, errors become problems, bodies are read within limits.</summary>
internal static class Requests
{
    /// <summary>Admits a request, and turns each error into a problem.</summary>
    public static async Task GuardAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            Peer peer = AgentServer.PeerOf(context);
            if (!context.RequestServices.GetRequiredService<Access>().IsKnown(peer))
            {
                throw new KaslrMtException(VmErrors.NotAllowed, $"user {peer.User} has no rights to this agent", "the operator grants them in the agent's configuration: allow = TENANT: user or @group");
            }

            context.Items[typeof(Peer)] = peer;
            await next(context).ConfigureAwait(false);
            if (context.Response.StatusCode >= StatusCodes.Status400BadRequest)
            {
                await FailAsync(context, context.Response.StatusCode, Failures.OfStatus(context, context.Response.StatusCode)).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller hung up.
        }
        catch (BadHttpRequestException error)
        {
            await FailAsync(context, error.StatusCode, Failures.OfStatus(context, error.StatusCode)).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // Whatever it was, the caller gets one line.
            await FailAsync(context, Failures.StatusOf(error), Failures.Of(error, context)).ConfigureAwait(false);
        }
    }

    /// <summary>Gets the caller of a request.</summary>
    public static Peer Caller(HttpContext context) => (Peer)context.Items[typeof(Peer)]!;

    /// <summary>Reads a request's body.</summary>
    /// <exception cref="KaslrMtException">KMT9025: it is malformed.</exception>
    /// <exception cref="BadHttpRequestException">It is too large, or comes too slowly.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return await context.RequestServices.GetRequiredService<BodyLimits>().ReadAsync(
                context, token => JsonSerializer.DeserializeAsync(context.Request.Body, type, token)).ConfigureAwait(false) ?? throw new JsonException();
        }
        catch (JsonException error)
        {
            string where = error.Path is null or "$" ? "" : $" (at {Printable.Of(error.Path, 100)})";
            throw new KaslrMtException(VmErrors.RequestInvalid, $"the body is not the JSON of a {typeof(T).Name}{where}", "see docs/api/openapi.json", error);
        }
    }

    /// <summary>Answers with JSON.</summary>
    public static async Task WriteAsync<T>(HttpContext context, T value, JsonTypeInfo<T> type)
    {
        context.Response.ContentType = "application/json";
        await JsonSerializer.SerializeAsync(context.Response.Body, value, type, context.RequestAborted).ConfigureAwait(false);
    }

    private static async Task FailAsync(HttpContext context, int status, Problem problem)
    {
        if (context.Response.HasStarted)
        {
            return;
        }

        try
        {
            context.Response.StatusCode = status;
            await WriteAsync(context, problem, ApiJson.Default.Problem).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // The caller hung up.
        }
    }
}
