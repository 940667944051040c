using System.Globalization;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests.Deputy;

/// <summary>That the agent, which is root, opens no path and runs no argument of another user with rights that this user lacks.</summary>
public sealed class PathTests(SharedAgent agent) : IClassFixture<SharedAgent>
{
    private static int _number;

    // {0}: a file of root's, mode 0600. {1}: a new file in a folder where root alone writes. {2}: a folder that only root may enter.
    public static TheoryData<string, string> Arguments => new()
    {
        { "-drive", "file=/etc/shadow,format=raw,if=none,id=d" },
        { "-drive", "file={0},format=raw,if=none,id=d,readonly=on" },
        { "-blockdev", "driver=file,node-name=d,filename={0},read-only=on" },
        { "-fw_cfg", "name=opt/x,file={0}" },
        { "-smbios", "file={0}" },
        { "-acpitable", "file={0}" },
        { "-bios", "{0}" },
        { "-object", "secret,id=s,file={0}" },
        { "-D", "{1}" },
        { "-chardev", "file,id=c,path={1}" },
        { "-chardev", "socket,id=c,path={1},server=on,wait=off" },
        { "-serial", "file:{1}" },
        { "-qmp", "unix:{1},server=on,wait=off" },
        { "-object", "memory-backend-file,id=m,size=1M,mem-path={1},share=on" },
        { "-chroot", "{2}" },
    };

    [RootTheory]
    [MemberData(nameof(Arguments))]
    public async Task An_argument_opens_and_makes_nothing_that_its_caller_could_not(string name, string value)
    {
        string target = Path.Combine(agent.RootsFolder, $"file-{Next()}");
        string text = string.Format(CultureInfo.InvariantCulture, value, agent.Host.At("secret"), target, agent.ClosedFolder);
        await RefusedAsync(agent.Vm($"argument-{Next()}", "acme") with { HypervisorArguments = ["-S", name, text] });
        Assert.False(File.Exists(target), "it was made with root's rights");
    }

    [RootFact]
    public async Task A_console_file_is_opened_with_the_callers_rights()
    {
        string etc = $"/etc/kaslrmt-test-{Guid.NewGuid():N}", target = Path.Combine(agent.RootsFolder, "console");
        try
        {
            await RefusedAsync(agent.Vm("console-etc", "acme") with { Console = etc });
            await RefusedAsync(agent.Vm("console-roots", "acme") with { Console = target });
            await RefusedAsync(agent.Vm("console-closed", "acme") with { Console = Path.Combine(agent.ClosedFolder, "console") });
            await RefusedAsync(agent.Vm("console-secret", "acme") with { Console = agent.Host.At("secret") });
            Assert.False(File.Exists(etc));
            Assert.False(File.Exists(target));
            Assert.Equal("the secret of root", await File.ReadAllTextAsync(agent.Host.At("secret")));
        }
        finally
        {
            File.Delete(etc);
        }
    }

    [RootTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_kernel_or_initrd_that_the_caller_may_not_read_is_refused(bool stock)
    {
        foreach (string path in (string[])[agent.SecretKernel, Path.Combine(agent.ClosedFolder, "kernel"), "/etc/shadow"])
        {
            await RefusedAsync(agent.Vm($"kernel-{Next()}", "acme") with { Kernel = path, Stock = stock });
            await RefusedAsync(agent.Vm($"initrd-{Next()}", "acme") with { Initrd = path, Stock = stock });
        }
    }

    [RootFact]
    public async Task A_link_to_a_file_that_the_caller_may_not_read_is_refused()
    {
        string link = agent.Host.At("link");
        File.CreateSymbolicLink(link, agent.SecretKernel);
        await RefusedAsync(agent.Vm("linked", "acme") with { Kernel = link, Stock = false });
        await RefusedAsync(agent.Vm("linked-initrd", "acme") with { Initrd = link, Stock = false });
    }

    [RootFact]
    public async Task What_a_caller_may_not_read_is_as_if_it_were_not_there()
    {
        // No difference between a file that exists and one that does not: the agent is no oracle for closed folders.
        await File.WriteAllTextAsync(Path.Combine(agent.ClosedFolder, "here"), "x");
        await File.WriteAllTextAsync(Path.Combine(agent.ClosedFolder, "kernel"), "x");
        foreach (bool stock in (bool[])[true, false])
        {
            string here = (await RefusedAsync(agent.Vm($"same-{Next()}", "acme") with { Initrd = Path.Combine(agent.ClosedFolder, "here"), Stock = stock })).Message;
            string gone = (await RefusedAsync(agent.Vm($"same-{Next()}", "acme") with { Initrd = Path.Combine(agent.ClosedFolder, "gone"), Stock = stock })).Message;
            Assert.Equal(here.Replace("/here", "/?", StringComparison.Ordinal), gone.Replace("/gone", "/?", StringComparison.Ordinal));
        }
    }

    [RootFact]
    public async Task A_pipe_in_place_of_a_file_holds_nothing_up()
    {
        string pipe = agent.Host.At("pipe");
        using (var made = System.Diagnostics.Process.Start("mkfifo", ["--mode=0666", pipe]))
        {
            await made.WaitForExitAsync();
        }

        foreach (bool stock in (bool[])[true, false])
        {
            await RefusedAsync(agent.Vm($"pipe-{Next()}", "acme") with { Kernel = pipe, Stock = stock });
            await RefusedAsync(agent.Vm($"pipe-{Next()}", "acme") with { Initrd = pipe, Stock = stock });
        }
    }

    [RootFact]
    public async Task A_kernel_that_the_caller_may_read_gets_its_layout()
    {
        VmSpec spec = agent.Vm("with-layout", "acme") with { Stock = false };
        ApiAnswer answer = await SharedAgent.Acme.StartAsync(agent.Socket, spec);
        Assert.True(answer.Problem is null, answer.Body);
        Assert.Equal(12345u, agent.UserOf("with-layout"));
        Assert.Null((await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/with-layout/stop", """{"grace":0}""")).Problem);
    }

    [RootFact]
    public async Task A_program_of_the_callers_runs_with_the_callers_rights()
    {
        string made = agent.Host.At("made");
        Directory.CreateDirectory(made);
        File.SetUnixFileMode(made, SharedAgent.Open | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite);
        string program = agent.Host.Write("program", $"#!/bin/sh\nid -u >{made}/user; id -g >{made}/group; id -G >{made}/groups\ngrep ^Cap /proc/self/status >{made}/capabilities\nexit 1\n", SharedAgent.Open);
        await RefusedAsync(agent.Vm("program", "acme") with { Program = program });
        Assert.Equal("12345\n", await File.ReadAllTextAsync(Path.Combine(made, "user")));
        Assert.Equal("12345\n", await File.ReadAllTextAsync(Path.Combine(made, "group")));
        Assert.Equal("12345\n", await File.ReadAllTextAsync(Path.Combine(made, "groups")));
        foreach (string line in (await File.ReadAllLinesAsync(Path.Combine(made, "capabilities"))).Where(line => !line.StartsWith("CapBnd", StringComparison.Ordinal)))
        {
            Assert.EndsWith("\t0000000000000000", line, StringComparison.Ordinal);
        }
    }

    [RootFact]
    public async Task A_working_directory_is_entered_with_the_callers_rights() =>
        await RefusedAsync(agent.Vm("folder", "acme") with { WorkingDirectory = agent.ClosedFolder });

    [RootFact]
    public async Task A_caller_has_the_agent_write_read_and_connect_to_nothing()
    {
        Assert.Null((await SharedAgent.Acme.StartAsync(agent.Socket, agent.Vm("movable", "acme"))).Problem);
        string target = Path.Combine(agent.RootsFolder, "saved");
        (await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/movable/save", $$"""{"file":"{{target}}"}""")).FailedWith(200, VmErrors.NotAllowed);
        (await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/movable/migrate", $$"""{"to":"unix:{{target}}"}""")).FailedWith(200, VmErrors.NotAllowed);
        (await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/new/restore", $$"""{"file":"{{agent.Host.At("secret")}}"}""")).FailedWith(403, VmErrors.NotAllowed);
        (await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/new/receive", $$"""{"listen":"unix:{{target}}"}""")).FailedWith(403, VmErrors.NotAllowed);
        Assert.False(File.Exists(target));
        Assert.Contains("movable", await SharedAgent.Acme.NamesAsync(agent.Socket));
        Assert.Null((await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/movable/stop", """{"grace":0}""")).Problem);
    }

    [RootFact]
    public async Task A_table_and_a_key_file_are_the_operators_choice()
    {
        string store = Path.Combine(agent.RootsFolder, "table.db"), state = Path.Combine(agent.RootsFolder, "state"), key = Path.Combine(agent.RootsFolder, "kek");
        var table = new TableSettings { Store = $"sqlite:{store}", StateDirectory = state, KeyFile = key };
        ApiAnswer answer = await SharedAgent.Acme.StartAsync(agent.Socket, agent.Vm("table", "acme") with { Table = table, KeyFile = agent.Host.At("secret") });
        Assert.True(answer.Problem is null, answer.Body);
        Assert.Null((await SharedAgent.Acme.PostAsync(agent.Socket, "v1/vms/table/stop", """{"grace":0}""")).Problem);
        Assert.True(File.Exists(Path.Combine(agent.Host.StateDirectory, "tenants.db")));
        Assert.Empty(Directory.GetFileSystemEntries(agent.RootsFolder, "table*"));
        Assert.False(Directory.Exists(state));
        Assert.False(File.Exists(key));
    }

    [RootFact]
    public async Task A_VM_s_process_reaches_no_other_VM_s_folder()
    {
        Assert.Null((await agent.Api.StartAsync(agent.Vm("neighbour", "umbrella"))).Problem);
        string folder = Path.Combine(agent.Host.Runtime.Path, "neighbour");
        foreach (string socket in Directory.GetFiles(folder))
        {
            await RefusedAsync(agent.Vm($"reach-{Next()}", "acme") with { HypervisorArguments = ["-S", "-drive", $"file={socket},format=raw,if=none,id=d,readonly=on"] });
        }

        Assert.Null((await agent.Api.PostAsync("v1/vms/neighbour/stop", """{"grace":0}""")).Problem);
    }

    private static int Next() => Interlocked.Increment(ref _number);

    private async Task<Problem> RefusedAsync(VmSpec spec)
    {
        ApiAnswer answer = await SharedAgent.Acme.StartAsync(agent.Socket, spec);
        Assert.True(answer.Problem is not null, $"{spec.Name} was started: {answer.Body}");
        Assert.NotEqual(CoreErrors.Internal.ToString(), answer.Problem.Code);
        Assert.DoesNotContain("the secret of root", answer.Body, StringComparison.Ordinal);
        Assert.DoesNotContain(spec.Name, await agent.Api.NamesAsync());
        return answer.Problem;
    }
}
