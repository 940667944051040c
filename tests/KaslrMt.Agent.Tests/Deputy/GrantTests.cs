using System.Diagnostics;
using System.Text.Json;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests.Deputy;

/// <summary>Who may act for whom.</summary>
public sealed class GrantTests(SharedAgent agent) : IClassFixture<SharedAgent>
{
    [RootFact]
    public async Task A_user_without_rights_is_refused_everything()
    {
        foreach (string path in (string[])["v1", "v1/vms", "v1/vms/a", "v1/events", "v2"])
        {
            (await SharedAgent.Nobody.GetAsync(agent.Socket, path)).FailedWith(403, VmErrors.NotAllowed);
        }

        (await SharedAgent.Nobody.StartAsync(agent.Socket, agent.Vm("nobody-s", "acme"))).FailedWith(403, VmErrors.NotAllowed);
        foreach (string order in (string[])["verify", "stop", "save", "restore", "migrate", "receive"])
        {
            (await SharedAgent.Nobody.PostAsync(agent.Socket, $"v1/vms/a/{order}", "{}")).FailedWith(403, VmErrors.NotAllowed);
        }
    }

    [RootFact]
    public async Task A_user_acts_for_its_tenant_alone_and_its_VMs_run_as_that_user()
    {
        Assert.Null((await SharedAgent.Acme.StartAsync(agent.Socket, agent.Vm("own", "acme"))).Problem);
        Assert.Equal(12345u, agent.UserOf("own"));
        Assert.Equal(200, (await SharedAgent.Acme.GetAsync(agent.Socket, "v1/vms/own")).Status);
        (await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/own/verify", "")).FailedWith(422, VmErrors.NoLayout);
        Assert.Null((await agent.Api.StartAsync(agent.Vm("theirs", "umbrella"))).Problem);
        Assert.Null((await agent.Api.StartAsync(Specs.Waiting("roots", agent.Kernel))).Problem);

        (await SharedAgent.Acme.StartAsync(agent.Socket, agent.Vm("x", "umbrella"))).FailedWith(403, VmErrors.NotAllowed);
        (await SharedAgent.Acme.StartAsync(agent.Socket, Specs.Waiting("x", agent.Kernel))).FailedWith(403, VmErrors.NotAllowed);
        (await SharedAgent.Acme.StartAsync(agent.Socket, agent.Vm("x", "web"))).FailedWith(403, VmErrors.NotAllowed);
        Assert.Equal(["own"], await SharedAgent.Acme.NamesAsync(agent.Socket));
        foreach (string name in (string[])["theirs", "roots", "none"])
        {
            (await SharedAgent.Acme.GetAsync(agent.Socket, $"v1/vms/{name}")).FailedWith(404, VmErrors.NoSuchVm);
            (await SharedAgent.Acme.PostAsync(agent.Socket, $"v1/vms/{name}/verify", "")).FailedWith(404, VmErrors.NoSuchVm);
            (await SharedAgent.Acme.PostAsync(agent.Socket, $"v1/vms/{name}/stop", """{"grace":0}""")).FailedWith(404, VmErrors.NoSuchVm);
            (await SharedAgent.Acme.PostAsync(agent.Socket, $"v1/vms/{name}/save", """{"file":"/tmp/x"}""")).FailedWith(404, VmErrors.NoSuchVm);
            (await SharedAgent.Acme.PostAsync(agent.Socket, $"v1/vms/{name}/migrate", """{"to":"127.0.0.1:9"}""")).FailedWith(404, VmErrors.NoSuchVm);
        }

        Assert.NotNull((await SharedAgent.Acme.StartAsync(agent.Socket, agent.Vm("theirs", "acme"))).Problem);
        string[] all = await agent.Api.NamesAsync();
        Assert.Contains("own", all);
        Assert.Contains("theirs", all);
        Assert.Contains("roots", all);
        Assert.Equal(0u, agent.UserOf("roots"));
        Assert.Null((await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/own/stop", """{"grace":0}""")).Problem);
        Assert.Empty(await SharedAgent.Acme.NamesAsync(agent.Socket));
    }

    [RootFact]
    public async Task A_supplementary_group_counts()
    {
        Assert.Null((await SharedAgent.Web.StartAsync(agent.Socket, agent.Vm("by-group", "web"))).Problem);
        Assert.Equal(23456u, agent.UserOf("by-group"));
        (await SharedAgent.Web.StartAsync(agent.Socket, agent.Vm("x", "acme"))).FailedWith(403, VmErrors.NotAllowed);
        Assert.Equal(["by-group"], await SharedAgent.Web.NamesAsync(agent.Socket));
        Assert.Null((await SharedAgent.Web.PostAsync(agent.Socket, "v1/vms/by-group/stop", """{"grace":0}""")).Problem);
    }

    [RootFact]
    public async Task More_groups_than_one_look_takes_are_all_seen()
    {
        var many = new AsUser(23456, 23456, [.. Enumerable.Range(30000, 200).Select(group => (uint)group), 23457]);
        Assert.Equal(200, (await many.GetAsync(agent.Socket, "v1")).Status);
    }

    [RootFact]
    public async Task Events_of_other_tenants_are_not_seen()
    {
        using EventReader root = await agent.Api.EventsAsync();
        using Process acme = SharedAgent.Acme.Follow(agent.Socket, "v1/events");
        try
        {
            // Until curl listens, nothing tells: VMs that fail are started until it sees one.
            Task<string?> line = acme.StandardOutput.ReadLineAsync();
            for (int i = 0; !line.IsCompleted; i++)
            {
                await agent.Api.StartAsync(agent.Vm($"hidden-{i}", "umbrella") with { Kernel = "/nosuch" });
                await agent.Api.StartAsync(agent.Vm($"tenantless-{i}", "x") with { Kernel = "/nosuch", Tenant = null });
                await agent.Api.StartAsync(agent.Vm($"seen-{i}", "acme") with { Kernel = "/nosuch" });
            }

            List<HostEvent> seen = [JsonSerializer.Deserialize((await line)!, ApiJson.Default.HostEvent)!];
            await agent.Api.StartAsync(agent.Vm("last", "acme") with { Kernel = "/nosuch" });
            while (seen[^1] is not { Vm: "last", Kind: "failed" })
            {
                seen.Add(JsonSerializer.Deserialize((await acme.StandardOutput.ReadLineAsync())!, ApiJson.Default.HostEvent)!);
            }

            Assert.All(seen, one => Assert.Equal("acme", one.Tenant));
            HashSet<string?> tenants = [];
            for (HostEvent? one; (one = await root.NextAsync()) is not { Vm: "last", Kind: "failed" };)
            {
                tenants.Add(one!.Tenant);
            }

            Assert.Superset(new HashSet<string?> { "acme", "umbrella", null }, tenants);
        }
        finally
        {
            acme.Kill();
            await acme.WaitForExitAsync();
        }
    }

    [RootFact]
    public void Others_pass_through_the_runtime_directory_and_see_no_names()
    {
        UnixFileMode mode = File.GetUnixFileMode(agent.Host.Runtime.Path);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute, mode);
    }
}
