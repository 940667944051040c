using System.Globalization;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests.Deputy;

/// <summary>Root's VMs run as the configured user through their whole life: saved, restored, and whoever started them.</summary>
public sealed class VmUserTests
{
    [RootFact]
    public async Task A_saved_VM_is_restored_with_the_rights_of_the_hosts_VMs_and_never_as_root()
    {
        var agent = new RunningAgent(host => Prepare(host, "vm-user = 34567:34568"));
        await agent.InitializeAsync();
        try
        {
            Assert.Null((await agent.Api.StartAsync(Specs.Waiting("moved", agent.Host.At("kernel")))).Problem);
            Assert.Equal("34567", UserOf(agent, "moved"));
            string file = agent.Host.At("saved");
            Assert.Null((await agent.Api.PostAsync("v1/vms/moved/save", $$"""{"file":"{{file}}"}""")).Problem);
            Assert.True(File.Exists(file));
            Assert.Empty(await agent.Api.NamesAsync());

            Assert.Null((await agent.Api.PostAsync("v1/vms/moved/restore", $$"""{"file":"{{file}}"}""")).Problem);
            Assert.Equal("34567", UserOf(agent, "moved"));
            Assert.Null((await agent.Api.PostAsync("v1/vms/moved/save", $$"""{"file":"{{file}}"}""")).Problem);
        }
        finally
        {
            await agent.DisposeAsync();
        }
    }

    [RootFact]
    public async Task The_VM_of_a_granted_user_can_be_saved_by_root()
    {
        var agent = new RunningAgent(host => Prepare(host, "allow = acme: 12345"));
        await agent.InitializeAsync();
        try
        {
            VmSpec spec = Specs.Waiting("theirs", agent.Host.At("kernel")) with { Tenant = "acme" };
            Assert.Null((await SharedAgent.Acme.StartAsync(agent.Socket, spec)).Problem);
            Assert.Equal("12345", UserOf(agent, "theirs"));
            Assert.Null((await agent.Api.PostAsync("v1/vms/theirs/save", $$"""{"file":"{{agent.Host.At("saved")}}"}""")).Problem);
            Assert.True(File.Exists(agent.Host.At("saved")));
        }
        finally
        {
            await agent.DisposeAsync();
        }
    }

    private static void Prepare(HostFolder host, string configuration)
    {
        host.Configure(configuration);
        File.SetUnixFileMode(host.Folder, SharedAgent.Open);
        File.Copy(TestKernels.Image("6.1-cloud"), host.At("kernel"));
        File.SetUnixFileMode(host.At("kernel"), SharedAgent.Open);
    }

    private static string UserOf(RunningAgent agent, string name)
    {
        VmState state = agent.Host.Runtime.List().Single(vm => vm.Name == name).State!;
        return File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{state.ProcessId}/status"))
            .First(line => line.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[1];
    }
}
