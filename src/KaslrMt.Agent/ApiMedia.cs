using Microsoft.AspNetCore.Http.Metadata;

namespace KaslrMt.Agent;

/// <summary>What an endpoint takes and answers, for its description: <c>docs/api/openapi.json</c> is made of it.</summary>
internal static class ApiMedia
{
    /// <summary>One JSON value.</summary>
    public const string Json = "application/json";

    /// <summary>JSON values, one a line, as they come about.</summary>
    public const string Lines = "application/x-ndjson";

    /// <summary>Says in a sentence what an endpoint does.</summary>
    public static IEndpointConventionBuilder Describe(this IEndpointConventionBuilder endpoint, string summary) =>
        endpoint.WithMetadata(new EndpointSummaryAttribute(summary));

    /// <summary>Says what an endpoint's body is.</summary>
    public static IEndpointConventionBuilder Takes<T>(this IEndpointConventionBuilder endpoint) =>
        endpoint.WithMetadata(new AcceptsMetadata([Json], typeof(T)));

    /// <summary>Says what an endpoint answers.</summary>
    public static IEndpointConventionBuilder Answers<T>(this IEndpointConventionBuilder endpoint, string media) =>
        endpoint.WithMetadata(new ProducesResponseTypeMetadata(StatusCodes.Status200OK, typeof(T), [media]));
}
