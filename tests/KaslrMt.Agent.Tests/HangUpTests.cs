using System.Diagnostics;
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
    public async Task A_VM_that_hangs_when_the_next_agent_finds_it_is_ended_by_a_stop()
    {
        using var host = new HostFolder();
        int qemu;
        using (Process first = RunningAgent.Start(host))
        {
            using var api = new AgentApi(AgentSocket.In(host.Runtime));
            await Eventually.HoldsAsync(() => File.Exists(AgentSocket.In(host.Runtime)), "the agent to begin");
            await Eventually.HoldsAsync(async () => await AnswersAsync(host), "the agent to answer");
            Assert.Null((await api.StartAsync(Specs.Waiting("frozen", TestKernels.Image("6.1-cloud")))).Problem);
            qemu = host.Runtime.List().Single().State!.ProcessId!.Value;
            first.Kill();
            await first.WaitForExitAsync();
        }

        using (Process freeze = Process.Start("kill", ["-STOP", $"{qemu}"]))
        {
            await freeze.WaitForExitAsync();
        }

        using Process second = RunningAgent.Start(host);
        try
        {
            using var api = new AgentApi(AgentSocket.In(host.Runtime));
            await Eventually.HoldsAsync(async () => await AnswersAsync(host), "the next agent to answer");

            // It is tried again and again: between two attempts nobody supervises it, and then the agent says so.
            Problem? problem = null;
            await Eventually.HoldsAsync(
                async () =>
                {
                    problem = (await api.PostAsync("v1/vms/frozen/stop", """{"grace":0}""")).Problem;
                    return problem?.Code != VmErrors.NoSuchVm.ToString();
                },
                "an attempt to take it over");
            Assert.Null(problem);
            Assert.False(IsAlive(qemu), "the VM was said to be stopped, and its QEMU is there");
            Assert.Empty(host.Runtime.List());
        }
        finally
        {
            second.Kill();
            await second.WaitForExitAsync();
            using Process kill = Process.Start("kill", ["-KILL", $"{qemu}"]);
            await kill.WaitForExitAsync();
        }
    }

    private static async Task<bool> AnswersAsync(HostFolder host)
    {
        using var client = new AgentClient(AgentSocket.In(host.Runtime));
        return await client.TryConnectAsync(CancellationToken.None) is not null;
    }

    // One that nobody has waited for is not alive.
    private static bool IsAlive(int process) =>
        File.Exists($"/proc/{process}/status") && !File.ReadLines($"/proc/{process}/status").Any(line => line.StartsWith("State:\tZ", StringComparison.Ordinal));

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
