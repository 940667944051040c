using System.Security.Cryptography;
using System.Text.Json;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>The interface, version 1 (<c>docs/api/openapi.json</c>).</summary>
internal static class VmEndpoints
{
    /// <summary>Maps all of it.</summary>
    public static void Map(WebApplication application)
    {
        RouteGroupBuilder v1 = application.MapGroup("/v1");
        v1.MapGet("", InfoAsync).Describe("Gets what the agent is.").Answers<AgentInfo>(ApiMedia.Json);
        v1.MapGet("/vms", ListAsync).Describe("Gets the VMs that the caller may see.").Answers<VmList>(ApiMedia.Json);
        v1.MapPost("/vms", StartAsync).Describe("Starts a VM; the answer ends once it runs.").Takes<StartRequest>().Answers<AnswerLine>(ApiMedia.Lines);
        v1.MapGet("/vms/{name}", ShowAsync).Describe("Gets a VM.").Answers<VmInfo>(ApiMedia.Json);
        v1.MapPost("/vms/{name}/verify", VerifyAsync).Describe("Compares a VM's memory with the layout it was given.").Answers<VerifyReport>(ApiMedia.Json);
        v1.MapPost("/vms/{name}/stop", StopAsync).Describe("Stops a VM; the answer ends once nothing of it is left.").Takes<StopRequest>().Answers<AnswerLine>(ApiMedia.Lines);
        v1.MapPost("/vms/{name}/save", SaveAsync).Describe("Saves a VM to a file.").Takes<SaveRequest>().Answers<AnswerLine>(ApiMedia.Lines);
        v1.MapPost("/vms/{name}/restore", RestoreAsync).Describe("Starts a saved VM.").Takes<RestoreRequest>().Answers<AnswerLine>(ApiMedia.Lines);
        v1.MapPost("/vms/{name}/migrate", MigrateAsync).Describe("Moves a VM to another host.").Takes<MigrateRequest>().Answers<AnswerLine>(ApiMedia.Lines);
        v1.MapPost("/vms/{name}/receive", ReceiveAsync).Describe("Awaits a VM from another host.").Takes<ReceiveRequest>().Answers<AnswerLine>(ApiMedia.Lines);
        v1.MapGet("/events", EventsAsync).Describe("Follows what happens to the VMs that the caller may see.").Answers<HostEvent>(ApiMedia.Lines);
    }

    private static Task InfoAsync(HttpContext context) => Requests.WriteAsync(
        context,
        new AgentInfo("kaslrmtd", AgentCommand.Version, AgentSocket.ApiVersion, Environment.ProcessId, Users.Effective, Vms(context).Count),
        ApiJson.Default.AgentInfo);

    private static async Task ListAsync(HttpContext context)
    {
        // Whoever looks finds no VM without a supervisor, whatever its last one was.
        await Vms(context).AdoptAsync().ConfigureAwait(false);
        await Requests.WriteAsync(context, new VmList([.. Vms(context).List().Where(vm => MaySee(context, vm))]), ApiJson.Default.VmList).ConfigureAwait(false);
    }

    private static Task ShowAsync(HttpContext context)
    {
        RunningVm vm = Visible(context, out _);
        return Requests.WriteAsync(context, VmInfo.Of(vm, Vms(context).Find(vm.Name) is not null), ApiJson.Default.VmInfo);
    }

    private static async Task VerifyAsync(HttpContext context)
    {
        RunningVm vm = Visible(context, out IReadOnlyList<RunningVm> all);
        VerifyReport report = (await Verifier.RunAsync([vm], all, context.RequestAborted).ConfigureAwait(false))[0];
        await Requests.WriteAsync(context, report, ApiJson.Default.VerifyReport).ConfigureAwait(false);
    }

    private static async Task StartAsync(HttpContext context)
    {
        StartRequest start = await Requests.ReadAsync(context, ApiJson.Default.StartRequest).ConfigureAwait(false);
        Peer caller = Requests.Caller(context);
        context.RequestServices.GetRequiredService<Access>().Require(caller, start.Spec.Tenant);
        VmSpec spec = CallerRules.Check(start.Spec, caller, context.RequestServices.GetRequiredService<HostConfiguration>());
        await Answer.RunAsync(context, async (lines, cancellationToken) =>
        {
            VmSecrets secrets = SecretsOf(start);
            SupervisedVm vm = Vms(context).Start(spec, secrets, Rights(context), lines);

            // Whoever starts a VM and hangs up before it runs does not want it.
            using CancellationTokenRegistration gone = cancellationToken.Register(vm.Stop);
            return new AnswerDone(await RunningAsync(vm).ConfigureAwait(false), null);
        }).ConfigureAwait(false);
    }

    private static async Task StopAsync(HttpContext context)
    {
        StopRequest stop = await Requests.ReadAsync(context, ApiJson.Default.StopRequest).ConfigureAwait(false);
        SupervisedVm vm = Find(context);
        await Answer.RunAsync(context, async (_, cancellationToken) =>
        {
            vm.Stop(TimeSpan.FromSeconds(Math.Clamp(stop.Grace, 0, 86400)));
            await vm.Ended.WaitAsync(cancellationToken).ConfigureAwait(false);
            return new AnswerDone(null, null);
        }).ConfigureAwait(false);
    }

    private static async Task SaveAsync(HttpContext context)
    {
        SaveRequest save = await Requests.ReadAsync(context, ApiJson.Default.SaveRequest).ConfigureAwait(false);
        SupervisedVm vm = Find(context);
        await Answer.RunAsync(context, async (_, cancellationToken) =>
        {
            MoveReport done = await vm.SaveAsync(CallerRules.NewFile(save.File, Requests.Caller(context)), cancellationToken).ConfigureAwait(false);
            await vm.Ended.ConfigureAwait(false);
            return new AnswerDone(null, done);
        }).ConfigureAwait(false);
    }

    private static async Task RestoreAsync(HttpContext context)
    {
        RestoreRequest restore = await Requests.ReadAsync(context, ApiJson.Default.RestoreRequest).ConfigureAwait(false);
        string name = NameOf(context);
        CallerRules.RequireOwner(context.RequestServices.GetRequiredService<Access>(), Requests.Caller(context), "restore VMs");
        CallerRules.CheckTable(restore.Table);
        await Answer.RunAsync(context, async (lines, cancellationToken) =>
        {
            SupervisedVm vm = Vms(context).Restore(name, restore.File, restore.Table ?? Configured(context), Rights(context), lines);
            using CancellationTokenRegistration gone = cancellationToken.Register(vm.Stop);
            return new AnswerDone(await RunningAsync(vm).ConfigureAwait(false), null);
        }).ConfigureAwait(false);
    }

    private static async Task MigrateAsync(HttpContext context)
    {
        MigrateRequest migrate = await Requests.ReadAsync(context, ApiJson.Default.MigrateRequest).ConfigureAwait(false);
        SupervisedVm vm = Find(context);
        await Answer.RunAsync(context, async (_, cancellationToken) =>
        {
            MoveReport done = await vm.MigrateAsync(CallerRules.Target(migrate.To, Requests.Caller(context)), cancellationToken).ConfigureAwait(false);
            await vm.Ended.ConfigureAwait(false);
            return new AnswerDone(null, done);
        }).ConfigureAwait(false);
    }

    private static async Task ReceiveAsync(HttpContext context)
    {
        ReceiveRequest receive = await Requests.ReadAsync(context, ApiJson.Default.ReceiveRequest).ConfigureAwait(false);
        string name = NameOf(context);
        CallerRules.RequireOwner(context.RequestServices.GetRequiredService<Access>(), Requests.Caller(context), "receive VMs");
        CallerRules.CheckTable(receive.Table);
        await Answer.RunAsync(context, async (lines, cancellationToken) =>
        {
            AgentVms vms = Vms(context);
            HostTable table = vms.Host.Tables.Get(receive.Table ?? Configured(context));
            bool? verified = null;
            await new MigrationReceiver(table, new LineLogger(lines)).ListenAsync(
                LinkAddress.Parse(receive.Listen, "listen"),
                name,
                async (link, header, token) =>
                {
                    verified = await vms.Receive(link, header, table, Rights(context), lines, token).Running.ConfigureAwait(false);
                    return true;
                },
                cancellationToken).ConfigureAwait(false);
            return new AnswerDone(verified, null);
        }).ConfigureAwait(false);
    }

    private static async Task EventsAsync(HttpContext context)
    {
        context.Response.ContentType = "application/x-ndjson";
        using EventStream.Listener listener = context.RequestServices.GetRequiredService<EventStream>().Listen();
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted, context.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);
        await context.Response.Body.FlushAsync(ended.Token).ConfigureAwait(false);
        Access access = context.RequestServices.GetRequiredService<Access>();
        try
        {
            await foreach (HostEvent one in listener.Events.ReadAllAsync(ended.Token).ConfigureAwait(false))
            {
                if (access.MayActFor(Requests.Caller(context), one.Tenant))
                {
                    await JsonSerializer.SerializeAsync(context.Response.Body, one, ApiJson.Default.HostEvent, ended.Token).ConfigureAwait(false);
                    await context.Response.Body.WriteAsync("\n"u8.ToArray(), ended.Token).ConfigureAwait(false);
                    await context.Response.Body.FlushAsync(ended.Token).ConfigureAwait(false);
                }
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // The listener hung up, or the agent ends.
        }
    }

    // A VM that could not be started is answered once nothing of it is left: its name is free then.
    private static async Task<bool?> RunningAsync(SupervisedVm vm)
    {
        try
        {
            return await vm.Running.ConfigureAwait(false);
        }
        catch
        {
            await vm.Ended.ConfigureAwait(false);
            throw;
        }
    }

    private static VmSecrets SecretsOf(StartRequest start)
    {
        try
        {
            return new VmSecrets(start.Key is null ? null : TenantKey.Parse(start.Key), start.Seed is null ? null : VmSeed.FromHex(start.Seed));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(start.Key);
        }
    }

    private static AgentVms Vms(HttpContext context) => context.RequestServices.GetRequiredService<AgentVms>();

    private static KaslrMt.Tenants.TableSettings Configured(HttpContext context) => context.RequestServices.GetRequiredService<HostConfiguration>().Table;

    private static ProcessUser? Rights(HttpContext context) => CallerRules.RightsOf(Requests.Caller(context), context.RequestServices.GetRequiredService<HostConfiguration>());

    private static string NameOf(HttpContext context) => VmName.Check(context.Request.RouteValues["name"] as string);

    // A VM that the caller may not act for does not exist for it.
    private static RunningVm Visible(HttpContext context, out IReadOnlyList<RunningVm> all)
    {
        string name = NameOf(context);
        all = Vms(context).Host.Runtime.List();
        return all.FirstOrDefault(vm => vm.Name == name && context.RequestServices.GetRequiredService<Access>().MayActFor(Requests.Caller(context), vm.State?.Tenant)) ?? throw Missing(name);
    }

    private static bool MaySee(HttpContext context, VmInfo vm) =>
        context.RequestServices.GetRequiredService<Access>().MayActFor(Requests.Caller(context), vm.State?.Tenant);

    // A VM that the caller may not act for does not exist for it.
    private static SupervisedVm Find(HttpContext context)
    {
        string name = NameOf(context);
        return Vms(context).Find(name) is { } vm && context.RequestServices.GetRequiredService<Access>().MayActFor(Requests.Caller(context), vm.Spec.Tenant)
            ? vm
            : throw Missing(name);
    }

    private static KaslrMtException Missing(string name) => new(VmErrors.NoSuchVm, $"no VM named '{name}' is supervised here", "see 'kaslrmt ps'");
}
