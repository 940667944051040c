using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>Makes a problem of every error: a caller gets one line, whatever went wrong, and the agent goes on.</summary>
internal static class Failures
{
    /// <summary>Whether an error is a fault of this program: none of the types that it throws or that the host's files lead to.</summary>
    public static bool IsInternal(Exception error) => error is not (KaslrMtException or IOException or UnauthorizedAccessException or OperationCanceledException);

    /// <summary>Gets the problem of an error. The text of an internal error goes to the agent's log.</summary>
    public static Problem Of(Exception error, HttpContext context)
    {
        if (IsInternal(error))
        {
            context.RequestServices.GetRequiredService<ILogger>().InternalError(
                error, CoreErrors.Internal, $"in {Printable.Of(context.Request.Method, 20)} {Printable.Of(context.Request.Path, 200)}");
        }

        return Of(error);
    }

    private static Problem Of(Exception error) => Problem.Of(error switch
    {
        KaslrMtException known => known,
        DirectoryNotFoundException => new(HypervisorErrors.RuntimeDirectoryFailed, "a folder of this agent's runtime directory is gone", "see the agent's log; a new agent makes the directory anew", error),
        IOException or UnauthorizedAccessException => new(
            CoreErrors.WriteFailed, $"the agent cannot write or read a file of its own: {FileProblem.Reason(error)}", "see what the disk of its runtime directory lacks, and try again", error),

        // The message may hold anything, so the type must do.
        _ => new(CoreErrors.Internal, $"internal error ({error.GetType().Name}) in the agent", "please report it", error),
    });

    /// <summary>Gets the status of an answer that is a problem.</summary>
    public static int StatusOf(Exception error) => error switch
    {
        BadHttpRequestException malformed => malformed.StatusCode,
        KaslrMtException known when known.Code == VmErrors.NoSuchVm => StatusCodes.Status404NotFound,
        KaslrMtException known when known.Code == VmErrors.NotAllowed => StatusCodes.Status403Forbidden,
        KaslrMtException known when known.Code == VmErrors.RequestInvalid => StatusCodes.Status400BadRequest,
        KaslrMtException { Category: not (ErrorCategory.Host or ErrorCategory.Store) } => StatusCodes.Status422UnprocessableEntity,
        KaslrMtException or IOException or UnauthorizedAccessException => StatusCodes.Status503ServiceUnavailable,
        _ => StatusCodes.Status500InternalServerError,
    };

    /// <summary>Gets the problem of a status that came about without an error, or before a request was read whole.</summary>
    public static Problem OfStatus(HttpContext context, int status)
    {
        string asked = $"{Printable.Of(context.Request.Method, 20)} {Printable.Of(context.Request.Path, 200)}";
        (string problem, string remedy) = status switch
        {
            StatusCodes.Status404NotFound => ($"there is no {asked}", "see docs/api/openapi.json"),
            StatusCodes.Status405MethodNotAllowed => ($"there is no {asked}; the path takes another method", "see docs/api/openapi.json"),
            StatusCodes.Status408RequestTimeout => ($"the body of {asked} comes too slowly", "send it at once"),
            StatusCodes.Status413PayloadTooLarge => ($"the body of {asked} is too large", $"a specification has at most {VmSpec.LargestSize >> 20} MiB"),
            _ => ($"{asked} is malformed", "see docs/api/openapi.json"),
        };
        return Problem.Of(new KaslrMtException(VmErrors.RequestInvalid, problem, remedy));
    }
}
