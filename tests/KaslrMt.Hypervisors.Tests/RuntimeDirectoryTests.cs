using System.Diagnostics;
using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>Names are claimed by one process only, in a directory nobody else can prepare or read.</summary>
public sealed class RuntimeDirectoryTests : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("a", true)]
    [InlineData("Web-1.prod_x", true)]
    [InlineData("", false)]
    [InlineData(".hidden", false)]
    [InlineData("-x", false)]
    [InlineData("a/b", false)]
    [InlineData("..", false)]
    [InlineData("a b", false)]
    [InlineData("ä", false)]
    public void Names_are_plain(string name, bool legal)
    {
        Assert.Equal(legal, VmName.IsLegal(name));
        Assert.False(VmName.IsLegal(new string('a', 64)));
        Assert.True(VmName.IsLegal(new string('a', 63)));
    }

    [Fact]
    public void A_name_in_use_names_the_owner()
    {
        using VmFolder folder = _scratch.Runtime.Claim("web");
        folder.WriteState(State("web"));
        KaslrMtException e = Assert.Throws<KaslrMtException>(() => _scratch.Runtime.Claim("web"));
        Assert.Equal(HypervisorErrors.NameInUse, e.Code);
        Assert.Contains($"process {Environment.ProcessId}", e.Message, StringComparison.Ordinal);
        Assert.Empty(_scratch.Runtime.Sweep());
        Assert.Equal(State("web"), _scratch.Runtime.List().Single().State);
    }

    [Fact]
    public async Task Of_processes_that_claim_a_name_at_once_one_wins()
    {
        Process[] rivals = [.. Enumerable.Range(0, 4).Select(_ => OwnerProcess.Start("claim", _scratch.Runtime.Path, "prize"))];
        string?[] said = await Task.WhenAll(rivals.Select(rival => rival.StandardOutput.ReadLineAsync()));
        Assert.Single(said, "WON");
        Assert.Equal(3, said.Count(word => word == "LOST"));
        foreach (Process rival in rivals)
        {
            rival.StandardInput.Close();
            await rival.WaitForExitAsync();
            rival.Dispose();
        }
    }

    [Fact]
    public async Task Claims_releases_and_sweeps_at_once_never_give_a_name_twice()
    {
        int holders = 0, most = 0, won = 0;
        await Task.WhenAll(Enumerable.Range(0, 6).Select(worker => Task.Run(() =>
        {
            for (int i = 0; i < 600; i++)
            {
                if (worker == 0)
                {
                    _scratch.Runtime.Sweep();
                    continue;
                }

                try
                {
                    using VmFolder folder = _scratch.Runtime.Claim("hot");
                    InterlockedMax(ref most, Interlocked.Increment(ref holders));
                    folder.WriteState(State("hot"));
                    Assert.NotNull(folder.ReadState());
                    Interlocked.Decrement(ref holders);
                    Interlocked.Increment(ref won);
                }
                catch (KaslrMtException e) when (e.Code == HypervisorErrors.NameInUse)
                {
                    Thread.Yield();
                }
            }
        })));
        Assert.Equal(1, most);
        Assert.True(won > 10, $"only {won} claims were granted");
        Assert.Empty(_scratch.Runtime.List());
    }

    [Fact]
    public void Files_are_private_and_state_survives_garbage()
    {
        using VmFolder folder = _scratch.Runtime.Claim("modes");
        folder.WriteState(State("modes"));
        Assert.Equal(Private, File.GetUnixFileMode(folder.Path));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder.Path, "state.json")));
        foreach (string garbage in new[] { "", "null", "[]", "{", new string('x', 100_000), """{"name":7}""" })
        {
            File.WriteAllText(Path.Combine(folder.Path, "state.json"), garbage);
            Assert.Null(_scratch.Runtime.List().Single().State);
        }
    }

    [Fact]
    public void A_directory_somebody_else_could_have_prepared_is_refused()
    {
        string open = _scratch.At("open");
        Directory.CreateDirectory(open, Private | UnixFileMode.OtherRead);
        string link = _scratch.At("link");
        Directory.CreateSymbolicLink(link, _scratch.Runtime.Path);
        foreach (string path in new[] { open, link, "relative/path" })
        {
            Assert.Equal(HypervisorErrors.RuntimeDirectoryUnsafe, Assert.Throws<KaslrMtException>(() => RuntimeDirectory.Open(path)).Code);
        }

        string file = _scratch.At("file");
        File.WriteAllText(file, "");
        Assert.Equal(HypervisorErrors.RuntimeDirectoryFailed, Assert.Throws<KaslrMtException>(() => RuntimeDirectory.Open(file)).Code);
        Directory.CreateSymbolicLink(Path.Combine(_scratch.Runtime.Path, "planted"), _scratch.Folder);
        Assert.Equal(HypervisorErrors.RuntimeDirectoryUnsafe, Assert.Throws<KaslrMtException>(() => _scratch.Runtime.Claim("planted")).Code);
    }

    [Fact]
    public void VMs_that_an_earlier_version_started_in_roots_session_are_found()
    {
        using var session = new Scratch();
        Func<string, string?> environment = name => name == "XDG_RUNTIME_DIR" ? session.Folder : null;
        Assert.Null(RuntimeDirectory.FindEarlier(environment, 0));
        Directory.CreateDirectory(session.At("kaslrmt/web1"));
        Assert.Null(RuntimeDirectory.FindEarlier(environment, 0));
        File.WriteAllText(session.At("kaslrmt/web1/lock"), "");
        Assert.Equal(session.At("kaslrmt"), RuntimeDirectory.FindEarlier(environment, 0));
        Assert.Null(RuntimeDirectory.FindEarlier(environment, 1000));
        Assert.Null(RuntimeDirectory.FindEarlier(name => environment(name) ?? "/elsewhere", 0));
    }

    [Fact]
    public void The_default_directory_follows_the_environment()
    {
        Assert.Equal("/a", RuntimeDirectory.DefaultPath(name => name == "KASLRMT_RUNTIME_DIR" ? "/a" : "/b", 1000));
        Assert.Equal("/b/kaslrmt", RuntimeDirectory.DefaultPath(name => name == "XDG_RUNTIME_DIR" ? "/b" : "", 1000));
        Assert.Equal("/run/kaslrmt", RuntimeDirectory.DefaultPath(_ => null, 0));
        Assert.Equal("/run/kaslrmt", RuntimeDirectory.DefaultPath(name => name == "XDG_RUNTIME_DIR" ? "/b" : "", 0));
        Assert.Equal("/tmp/kaslrmt-1000", RuntimeDirectory.DefaultPath(_ => null, 1000));
    }

    private static VmState State(string name) => new()
    {
        Name = name,
        Tenant = "acme",
        OwnerProcess = Environment.ProcessId,
        OwnerStartTime = ProcessIdentity.StartTime(Environment.ProcessId)!.Value,
        Memory = 512 * ByteSize.MiB,
        Machine = "q35",
        Created = DateTimeOffset.UnixEpoch,
    };

    private static void InterlockedMax(ref int target, int value)
    {
        for (int seen = target; value > seen; seen = target)
        {
            Interlocked.CompareExchange(ref target, value, seen);
        }
    }
}
