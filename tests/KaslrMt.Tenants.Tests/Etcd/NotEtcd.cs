using System.Buffers.Binary;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>A server of HTTP/2 that answers each call as a test wants.</summary>
internal sealed class NotEtcd : IAsyncDisposable
{
    private readonly WebApplication _application;

    private NotEtcd(WebApplication application) => _application = application;

    internal string Location => $"etcd://{new Uri(_application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Authority}";

    internal static async Task<NotEtcd> StartAsync(RequestDelegate answer)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(options => options.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        var server = new NotEtcd(builder.Build());
        server._application.Run(answer);
        await server._application.StartAsync();
        return server;
    }

    /// <summary>Answers with a gRPC message, whatever its bytes are.</summary>
    internal static RequestDelegate Message(byte[] message, int? length = null, bool packed = false) => async context =>
    {
        context.Response.ContentType = "application/grpc";
        byte[] head = new byte[5];
        head[0] = packed ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(1), length ?? message.Length);
        if (packed)
        {
            context.Response.Headers["grpc-encoding"] = "gzip";
        }

        await context.Response.Body.WriteAsync(head);
        await context.Response.Body.WriteAsync(message);
        context.Response.AppendTrailer("grpc-status", "0");
    };

    /// <summary>Answers with a gRPC error.</summary>
    internal static RequestDelegate Status(int status, string words) => context =>
    {
        context.Response.ContentType = "application/grpc";
        context.Response.Headers["grpc-status"] = $"{status}";
        context.Response.Headers["grpc-message"] = Uri.EscapeDataString(words);
        return Task.CompletedTask;
    };

    internal static RequestDelegate Page(int status) => context =>
    {
        (context.Response.StatusCode, context.Response.ContentType) = (status, "text/html");
        return context.Response.WriteAsync("<html>a proxy</html>");
    };

    public ValueTask DisposeAsync() => _application.DisposeAsync();
}
