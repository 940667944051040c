using System.Text.Json.Nodes;
using KaslrMt.Vms;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;

namespace KaslrMt.Agent.Tests;

/// <summary>That <c>docs/api/openapi.json</c> is what the code gives. <c>KASLRMT_WRITE_OPENAPI=1</c> writes it anew.</summary>
public sealed class OpenApiTests : IDisposable
{
    private readonly HostFolder _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task The_document_that_is_checked_in_is_that_of_the_code()
    {
        await using WebApplication application = AgentServer.Build(_host.Runtime, new HostConfiguration(), socket: null);
        string document = OpenApiDocument.Of(application);
        string path = Path.Combine(Root(), "docs", "api", "openapi.json");
        if (Environment.GetEnvironmentVariable("KASLRMT_WRITE_OPENAPI") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            await File.WriteAllTextAsync(path, document);
        }

        Assert.True(
            await File.ReadAllTextAsync(path) == document,
            "the interface changed: is AgentSocket.ApiVersion right still? Then run this test with KASLRMT_WRITE_OPENAPI=1");
    }

    [Fact]
    public async Task The_document_holds_every_endpoint_and_every_reference_leads_somewhere()
    {
        await using WebApplication application = AgentServer.Build(_host.Runtime, new HostConfiguration(), socket: null);
        string text = OpenApiDocument.Of(application);
        JsonNode document = JsonNode.Parse(text)!;
        Assert.Equal(
            ((IEndpointRouteBuilder)application).DataSources.SelectMany(source => source.Endpoints).Count(),
            document["paths"]!.AsObject().Sum(path => path.Value!.AsObject().Count));
        foreach (string reference in Values(document, "$ref"))
        {
            Assert.StartsWith("#/components/schemas/", reference, StringComparison.Ordinal);
            Assert.NotNull(document["components"]!["schemas"]![reference.Split('/')[^1]]);
        }

        foreach (string member in (string[])["name", "kernel", "qemuArguments", "memory"])
        {
            Assert.NotNull(document["components"]!["schemas"]!["StartRequest"]!["properties"]!["spec"]!["properties"]![member]);
        }

        Assert.DoesNotContain("hypervisorArguments", text, StringComparison.Ordinal);
    }

    private static IEnumerable<string> Values(JsonNode? node, string name) => node switch
    {
        JsonObject members => members.SelectMany(member => member.Key == name ? [member.Value!.GetValue<string>()] : Values(member.Value, name)),
        JsonArray elements => elements.SelectMany(element => Values(element, name)),
        _ => [],
    };

    private static string Root()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "kaslrmt.slnx")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("the repository is not above the tests");
        }

        return folder;
    }
}
