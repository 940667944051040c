using System.Net.Sockets;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace KaslrMt.Agent;

/// <summary>Runs the agent: takes VMs back, serves the interface, and ends when told to, or when nothing is left.</summary>
internal static class AgentServer
{
    // A specification has at most 4 MiB, as base 64 nothing of it grows.
    private const long LargestRequest = VmSpec.LargestSize + (64 << 10);
    private const int MostConnections = 1200;

    private static readonly TimeSpan IdlePatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan HeaderPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan BodyPatience = TimeSpan.FromSeconds(30);

    // What is answered still gets this long once the agent is told to end: long answers end by themselves then, see Answer.
    private static readonly TimeSpan ShutdownPatience = TimeSpan.FromMilliseconds(500);

    /// <summary>Runs until SIGTERM or SIGINT, or until nothing is left.</summary>
    /// <param name="runtime">Where running VMs are kept.</param>
    /// <param name="untilIdle">Whether to end when nothing is left.</param>
    public static async Task RunAsync(RuntimeDirectory runtime, bool untilIdle)
    {
        string socket = AgentSocket.In(runtime);
        await using WebApplication application = Build(runtime, HostConfiguration.Load(HostConfiguration.Find()), socket);
        AgentVms vms = application.Services.GetRequiredService<AgentVms>();

        // VMs first: an agent that answers has them back.
        await vms.AdoptAsync().ConfigureAwait(false);
        File.Delete(socket);
        OpenTo(application.Services.GetRequiredService<HostConfiguration>(), runtime);
        await application.StartAsync().ConfigureAwait(false);
        var watch = new SocketWatch(socket);
        OpenTo(application.Services.GetRequiredService<HostConfiguration>(), socket);
        using var ended = new CancellationTokenSource();
        Task receiving = MigrationIntake.RunAsync(application.Services, ended.Token);
        Task watching = watch.RunAsync(application.Lifetime, ended.Token);
        if (untilIdle)
        {
            _ = EndWhenIdleAsync(application, vms);
        }

        await application.WaitForShutdownAsync().ConfigureAwait(false);
        watch.Remove();
        await ended.CancelAsync().ConfigureAwait(false);
        await receiving.ConfigureAwait(false);
        await watching.ConfigureAwait(false);
        if (watch.WasRemoved)
        {
            throw watch.Gone(vms.Count);
        }
    }

    /// <summary>Makes the application.</summary>
    /// <param name="runtime">Where running VMs are kept.</param>
    /// <param name="configuration">What the operator configured.</param>
    /// <param name="socket">Where to listen; null for a test's own transport.</param>
    internal static WebApplication Build(RuntimeDirectory runtime, HostConfiguration configuration, string? socket)
    {
        // Empty: any other builder takes endpoints and more from an appsettings.json in whatever folder the agent was started in, and watches that folder and all below it.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new() { ContentRootPath = runtime.Path });
        builder.Host.UseSystemd();
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore();
        builder.Logging.ClearProviders().SetMinimumLevel(LogLevel.Warning).AddFilter(AgentLog.Category, LogLevel.Information);
        builder.Logging.AddProvider(new AgentLog(Console.Error, TimeProvider.System));
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxConcurrentConnections = MostConnections;
            kestrel.Limits.MaxRequestBodySize = LargestRequest;
            kestrel.Limits.RequestHeadersTimeout = HeaderPatience;
            kestrel.Limits.KeepAliveTimeout = BodyPatience;
            kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(240, HeaderPatience);
            if (socket is not null)
            {
                kestrel.ListenUnixSocket(socket, listen =>
                {
                    ConnectionLimits limits = listen.ApplicationServices.GetRequiredService<ConnectionLimits>();
                    listen.Use(next => connection => limits.ServeAsync(connection, next));
                });
            }
        });
        builder.Services.AddSingleton<ILogger>(services => services.GetRequiredService<ILoggerFactory>().CreateLogger(AgentLog.Category));
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton(configuration);
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = ShutdownPatience);
        builder.Services.Configure<SocketTransportOptions>(options => options.Backlog = MostConnections);
        builder.Services.AddSingleton(_ => new BodyLimits(BodyPatience));
        builder.Services.AddSingleton<ConnectionLimits>();
        builder.Services.AddSingleton<EventStream>();
        builder.Services.AddHostedService<Watchdog>();
        builder.Services.AddHostedService<MemoryTrim>();
        builder.Services.AddSingleton(_ => new Access(configuration, Users.Effective));
        builder.Services.AddSingleton(services => new AgentVms(runtime, services.GetRequiredService<EventStream>(), services.GetRequiredService<ILogger>()));
        builder.Services.ConfigureHttpJsonOptions(options => options.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default));
        WebApplication application = builder.Build();
        application.Use(Requests.GuardAsync);
        VmEndpoints.Map(application);
        return application;
    }

    /// <summary>Gets the process at the other end of a request's connection.</summary>
    internal static Peer PeerOf(HttpContext context) =>
        context.Features.Get<IConnectionSocketFeature>() is { Socket: Socket socket } ? Peer.Of(socket) : throw new InvalidOperationException("the connection has no socket");

    // Others may connect only where the operator granted something; each call is checked all the same.
    private static void OpenTo(HostConfiguration configuration, string socket) => File.SetUnixFileMode(
        socket,
        configuration.Grants.IsEmpty
            ? UnixFileMode.UserRead | UnixFileMode.UserWrite
            : UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite);

    // Others pass through to the socket and to their own VM's folder, and see no names.
    private static void OpenTo(HostConfiguration configuration, RuntimeDirectory runtime)
    {
        if (!configuration.Grants.IsEmpty || configuration.VmUser is not null)
        {
            File.SetUnixFileMode(runtime.Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        }
    }

    private static async Task EndWhenIdleAsync(WebApplication application, AgentVms vms)
    {
        ConnectionLimits connections = application.Services.GetRequiredService<ConnectionLimits>();
        using var changed = new SemaphoreSlim(0);
        vms.Changed += () => changed.Release();
        while (true)
        {
            bool news = await changed.WaitAsync(IdlePatience).ConfigureAwait(false);
            if (!news && vms.IsIdle && connections.Open == 0)
            {
                application.Lifetime.StopApplication();
                return;
            }
        }
    }
}
