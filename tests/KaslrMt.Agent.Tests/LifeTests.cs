using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>How an agent begins and ends.</summary>
public sealed class LifeTests
{
    [Theory]
    [InlineData(PosixSignal.SIGTERM)]
    [InlineData(PosixSignal.SIGINT)]
    public async Task A_signal_ends_it_in_order_whatever_it_answers_and_its_VMs_go_on(PosixSignal signal)
    {
        var agent = new RunningAgent();
        await agent.InitializeAsync();
        try
        {
            Assert.Null((await agent.Api.StartAsync(Specs.Waiting("goes-on", TestKernels.Image("6.1-cloud")))).Problem);
            int vm = agent.Host.Runtime.List().Single().State!.ProcessId!.Value;
            using EventReader events = await agent.Api.EventsAsync();
            string hangs = agent.Host.Write("hangs", "#!/bin/sh\nexec sleep 1000\n", (UnixFileMode)0b111_101_101);
            Task<ApiAnswer> hanging = agent.Api.StartAsync(Specs.Waiting("hanging", TestKernels.Image("6.1-cloud")) with { Program = hangs });
            await Eventually.HoldsAsync(async () => (await agent.Api.NamesAsync()).Contains("hanging"), "the VM to be listed");
            using RawConnection half = await RawConnection.OpenAsync(agent.Socket);
            await half.SendAsync("GET /v1 HT");

            var clock = Stopwatch.StartNew();
            agent.Signal(signal);
            (int code, string error) = await agent.EndAsync();
            Assert.InRange(clock.Elapsed, TimeSpan.Zero, EndLimit());
            Assert.Equal(0, code);
            Assert.Equal("", error);
            Assert.False(File.Exists(agent.Socket));
            Assert.Equal(VmErrors.AgentFailed.ToString(), (await hanging).Problem!.Code);
            HostEvent? last;
            while ((last = await events.NextAsync()) is not null)
            {
            }

            Assert.True(Directory.Exists($"/proc/{vm}"));
        }
        finally
        {
            await agent.DisposeAsync();
        }
    }

    // Two seconds on a host that has a processor to spare; on one whose processors many share, as much more as it is short of them.
    private static TimeSpan EndLimit()
    {
        double load = double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);
        return TimeSpan.FromSeconds(2 * Math.Max(1, load / Environment.ProcessorCount));
    }

    [Fact]
    public async Task A_second_agent_of_a_runtime_directory_ends_at_once_and_harms_nothing()
    {
        var agent = new RunningAgent();
        await agent.InitializeAsync();
        try
        {
            using Process second = RunningAgent.Start(agent.Host);
            string error = await second.StandardError.ReadToEndAsync();
            await second.WaitForExitAsync();
            Assert.Equal(0, second.ExitCode);
            Assert.Equal($"kaslrmtd: another agent serves {agent.Host.Runtime.Path}\n", error);
            Assert.Equal(200, (await agent.Api.GetAsync("v1")).Status);
        }
        finally
        {
            await agent.DisposeAsync();
        }
    }

    [Fact]
    public async Task The_socket_of_an_agent_that_was_killed_is_in_nobody_s_way()
    {
        using var host = new HostFolder();
        using (Process first = RunningAgent.Start(host))
        {
            await Eventually.HoldsAsync(() => File.Exists(AgentSocket.In(host.Runtime)), "the agent to begin");
            first.Kill();
            await first.WaitForExitAsync();
        }

        Assert.True(File.Exists(AgentSocket.In(host.Runtime)));
        using Process second = RunningAgent.Start(host);
        using var client = new AgentClient(AgentSocket.In(host.Runtime));
        await Eventually.HoldsAsync(async () => await client.TryConnectAsync(CancellationToken.None) is { } info && info.ProcessId == second.Id, "the next agent to answer");
        second.Kill();
        await second.WaitForExitAsync();
    }

    [Fact]
    public async Task An_agent_whose_runtime_directory_is_removed_says_so_once_and_ends()
    {
        var agent = new RunningAgent();
        await agent.InitializeAsync();
        try
        {
            Assert.Equal(200, (await agent.Api.GetAsync("v1")).Status);
            Directory.Delete(agent.Host.Runtime.Path, recursive: true);

            // A connection that is open still gets a line, not silence.
            try
            {
                (await agent.Api.GetAsync("v1/vms")).FailedWith(503, HypervisorErrors.RuntimeDirectoryFailed);
            }
            catch (HttpRequestException)
            {
                // It ended first.
            }

            (int code, string error) = await agent.EndAsync();
            Assert.Equal(4, code);
            Assert.StartsWith($"kaslrmtd: {HypervisorErrors.RuntimeDirectoryFailed}: ", error, StringComparison.Ordinal);
            Assert.Contains(agent.Socket, error, StringComparison.Ordinal);
            Assert.Single(error.TrimEnd('\n').Split('\n'));

            using Process next = RunningAgent.Start(agent.Host);
            await Eventually.HoldsAsync(() => File.Exists(agent.Socket), "the next agent to begin");
            next.Kill();
            await next.WaitForExitAsync();
        }
        finally
        {
            await agent.DisposeAsync();
        }
    }

    [RootFact]
    public async Task A_full_disk_is_one_line()
    {
        var agent = new RunningAgent(host => Mount.Memory(host.Runtime.Path, "64k"));
        await agent.InitializeAsync();
        try
        {
            Mount.Fill(agent.Host.Runtime.Path);
            ApiAnswer answer = await agent.Api.StartAsync(Specs.Waiting("full", TestKernels.Image("6.1-cloud")));
            Assert.Equal(ErrorCategory.Host, answer.Problem!.Category);
            Assert.NotEqual(CoreErrors.Internal.ToString(), answer.Problem.Code);
            Assert.Contains("no space left", answer.Problem.Message, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain('\n', answer.Problem.Message);
            Assert.Equal(200, (await agent.Api.GetAsync("v1/vms")).Status);

            File.Delete(Mount.Filler(agent.Host.Runtime.Path));
            Assert.DoesNotContain("full", await agent.Api.NamesAsync());
            agent.Signal(PosixSignal.SIGTERM);
            Assert.Equal((0, ""), await agent.EndAsync());
        }
        finally
        {
            Mount.Remove(agent.Host.Runtime.Path);
            await agent.DisposeAsync();
        }
    }

    [Fact]
    public async Task The_folder_that_it_is_started_in_opens_no_further_door()
    {
        using var host = new HostFolder();
        Directory.CreateDirectory(host.At("elsewhere"));
        string door = host.At("door.sock");
        host.Write("elsewhere/appsettings.json", $$"""{ "Kestrel": { "Endpoints": { "Door": { "Url": "http://unix:{{door}}" } } } }""", UnixFileMode.UserRead);
        using Process agent = RunningAgent.StartIn(host.At("elsewhere"), host);
        using var client = new AgentClient(AgentSocket.In(host.Runtime));
        await Eventually.HoldsAsync(async () => await client.TryConnectAsync(CancellationToken.None) is not null, "the agent to answer");
        Assert.False(File.Exists(door));

        // Nor does it watch that folder: in a large one it would hold something for each folder below it.
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries($"/proc/{agent.Id}/fd"), descriptor => File.ResolveLinkTarget(descriptor, false)?.Name == "anon_inode:inotify");
        agent.Kill();
        await agent.WaitForExitAsync();
    }

    [Theory]
    [InlineData("allow = nobody-knows")]
    [InlineData("nonsense")]
    public async Task A_wrong_configuration_is_one_line_with_its_place(string line)
    {
        using var host = new HostFolder();
        host.Configure("# first", line);
        using Process agent = RunningAgent.Start(host);
        string error = await agent.StandardError.ReadToEndAsync();
        await agent.WaitForExitAsync();
        Assert.Equal(3, agent.ExitCode);
        Assert.StartsWith($"kaslrmtd: {VmErrors.Configuration}: {host.ConfigurationHome}/kaslrmt/config, line 2: ", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
    }
}
