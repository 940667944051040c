using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization.Metadata;
using KaslrMt.Vms;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;

namespace KaslrMt.Agent.Tests;

/// <summary>The OpenAPI document of the agent's interface, made of its endpoints and the shapes that the code writes and reads.</summary>
internal static class OpenApiDocument
{
    // What every endpoint may answer; 'default' is any status that is not a success.
    private const string Failure = "default";

    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Gets the document as text.</summary>
    public static string Of(WebApplication application)
    {
        var schemas = new SortedDictionary<string, JsonNode>(StringComparer.Ordinal);
        var paths = new SortedDictionary<string, SortedDictionary<string, JsonNode>>(StringComparer.Ordinal);
        foreach (RouteEndpoint endpoint in ((IEndpointRouteBuilder)application).DataSources.SelectMany(source => source.Endpoints).Cast<RouteEndpoint>())
        {
            string path = endpoint.RoutePattern.RawText!.TrimEnd('/');
            foreach (string method in endpoint.Metadata.GetRequiredMetadata<IHttpMethodMetadata>().HttpMethods)
            {
                paths.TryAdd(path, new(StringComparer.Ordinal));
                paths[path].Add(method.ToLowerInvariant(), Operation(endpoint, schemas));
            }
        }

        var document = new JsonObject
        {
            ["openapi"] = "3.1.0",
            ["info"] = new JsonObject
            {
                ["title"] = "kaslrmtd",
                ["description"] = "The agent of a host: HTTP and JSON over the Unix socket agent.sock in its runtime directory. Callers are known by the credentials of their socket.",
                ["version"] = $"{AgentSocket.ApiVersion}",
            },
            ["paths"] = Ordered(paths.Select(path => KeyValuePair.Create(path.Key, (JsonNode)Ordered(path.Value)))),
            ["components"] = new JsonObject { ["schemas"] = Ordered(schemas) },
        };
        return document.ToJsonString(Readable) + "\n";
    }

    private static JsonObject Operation(RouteEndpoint endpoint, SortedDictionary<string, JsonNode> schemas)
    {
        var operation = new JsonObject { ["summary"] = endpoint.Metadata.GetRequiredMetadata<IEndpointSummaryMetadata>().Summary };
        if (endpoint.RoutePattern.Parameters.Count > 0)
        {
            operation["parameters"] = new JsonArray([.. endpoint.RoutePattern.Parameters.Select(parameter => (JsonNode)new JsonObject
            {
                ["name"] = parameter.Name,
                ["in"] = "path",
                ["required"] = true,
                ["schema"] = new JsonObject { ["type"] = "string", ["pattern"] = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$" },
            })]);
        }

        if (endpoint.Metadata.GetMetadata<IAcceptsMetadata>() is { } accepts)
        {
            operation["requestBody"] = new JsonObject { ["required"] = true, ["content"] = Content(accepts.ContentTypes[0], accepts.RequestType!, schemas) };
        }

        IProducesResponseTypeMetadata answers = endpoint.Metadata.GetRequiredMetadata<IProducesResponseTypeMetadata>();
        operation["responses"] = new JsonObject
        {
            ["200"] = new JsonObject { ["description"] = "The answer.", ["content"] = Content(answers.ContentTypes.Single(), answers.Type!, schemas) },
            [Failure] = new JsonObject { ["description"] = "Why the agent refused or failed.", ["content"] = Content(ApiMedia.Json, typeof(Problem), schemas) },
        };
        return operation;
    }

    private static JsonObject Content(string media, Type type, SortedDictionary<string, JsonNode> schemas)
    {
        if (!schemas.ContainsKey(type.Name))
        {
            JsonTypeInfo shape = ApiJson.Default.GetTypeInfo(type) ?? throw new InvalidOperationException($"{nameof(ApiJson)} does not know {type.Name}");
            schemas.Add(type.Name, shape.GetJsonSchemaAsNode(new JsonSchemaExporterOptions { TreatNullObliviousAsNonNullable = true }));
        }

        return new JsonObject { [media] = new JsonObject { ["schema"] = new JsonObject { ["$ref"] = $"#/components/schemas/{type.Name}" } } };
    }

    private static JsonObject Ordered(IEnumerable<KeyValuePair<string, JsonNode>> members) =>
        new(members.Select(member => KeyValuePair.Create(member.Key, (JsonNode?)member.Value)));
}
