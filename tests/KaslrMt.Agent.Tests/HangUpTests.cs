using System.Globalization;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>Clients that hang up, and a hypervisor that hangs.</summary>
public sealed class HangUpTests(RunningAgent agent) : IClassFixture<RunningAgent>
{
    private const UnixFileMode Executable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead
        | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    [Fact]
    public async Task A_VM_whose_client_hangs_up_while_it_starts_is_not_left()
    {
        string note = agent.Host.At("number");
        string hangs = agent.Host.Write("hangs", $"#!/bin/sh\necho $$ >{note}.new\nmv {note}.new {note}\nexec sleep 1000\n", Executable);
        string request = Specs.Request(Specs.Waiting("hung", TestKernels.Image("6.1-cloud")) with { Program = hangs });
        using (RawConnection raw = await RawConnection.OpenAsync(agent.Socket))
        {
            await raw.SendAsync($"POST /v1/vms HTTP/1.1\r\nHost: a\r\nContent-Length: {request.Length}\r\n\r\n{request}");
            await Eventually.HoldsAsync(() => File.Exists(note), "the hypervisor to begin");
            Assert.Contains("hung", await agent.Api.NamesAsync());
        }

        await Eventually.HoldsAsync(async () => !(await agent.Api.NamesAsync()).Contains("hung"), "the VM to be gone");
        int process = int.Parse(await File.ReadAllTextAsync(note), CultureInfo.InvariantCulture);
        await Eventually.HoldsAsync(() => !Directory.Exists($"/proc/{process}"), "the hypervisor to be gone");
    }

    [Fact]
    public async Task A_VM_whose_client_hangs_up_once_it_runs_goes_on()
    {
        Assert.Null((await agent.Api.StartAsync(Specs.Waiting("stays", TestKernels.Image("6.1-cloud")))).Problem);
        using (RawConnection raw = await RawConnection.OpenAsync(agent.Socket))
        {
            await raw.SendAsync("GET /v1/vms/stays HTTP/1.1\r\nHost: a\r\n");
        }

        Assert.Contains("stays", await agent.Api.NamesAsync());
        (await agent.Api.StartAsync(Specs.Waiting("stays", TestKernels.Image("6.1-cloud")))).FailedWith(200, Hypervisors.HypervisorErrors.NameInUse);
        Assert.Null((await agent.Api.PostAsync("v1/vms/stays/stop", """{"grace":0}""")).Problem);
        Assert.DoesNotContain("stays", await agent.Api.NamesAsync());
    }

    [Fact]
    public async Task A_VM_that_hangs_while_it_starts_delays_no_other()
    {
        string hangs = agent.Host.Write("hangs-too", "#!/bin/sh\nexec sleep 1000\n", Executable);
        Task<ApiAnswer> hanging = agent.Api.StartAsync(Specs.Waiting("hanging", TestKernels.Image("6.1-cloud")) with { Program = hangs });
        await Eventually.HoldsAsync(async () => (await agent.Api.NamesAsync()).Contains("hanging"), "the VM to be listed");
        Assert.Null((await agent.Api.StartAsync(Specs.Waiting("other", TestKernels.Image("6.1-cloud")))).Problem);
        Assert.False(hanging.IsCompleted);
        Assert.Null((await agent.Api.PostAsync("v1/vms/hanging/stop", """{"grace":0}""")).Problem);
        Assert.Equal(VmErrors.Ended.ToString(), (await hanging).Problem!.Code);
    }
}
