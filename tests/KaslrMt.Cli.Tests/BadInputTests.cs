using System.Diagnostics;

namespace KaslrMt.Cli.Tests;

public sealed class BadInputTests : IDisposable
{
    private readonly Scratch _scratch = new();

    private static string Kernel => TestKernels.Image("6.1-cloud");

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("--memory 0", "KMT9001", 2)]
    [InlineData("--memory 1X", "KMT9001", 2)]
    [InlineData("--memory -5", "KMT9001", 2)]
    [InlineData("--memory 99999999999G", "KMT9001", 2)]
    [InlineData("--memory 16M", "KMT3021", 3)]
    [InlineData("--memory 64M", "KMT1204", 3)]
    [InlineData("--memory 2000G", "KMT3021", 3)]
    [InlineData("--policy 11001", "KMT1001", 2)]
    [InlineData("--policy abcdef", "KMT1001", 2)]
    [InlineData("--vm-seed xyz", "KMT1007", 2)]
    [InlineData("--producer x", "KMT1002", 2)]
    [InlineData("--machine foo", "KMT3020", 2)]
    [InlineData("--initrd /nosuch", "KMT9004", 3)]
    [InlineData("--initrd /tmp", "KMT9004", 3)]
    [InlineData("--initrd /dev/zero", "KMT9004", 3)]
    public async Task A_bad_option_of_a_layout_is_named(string option, string number, int code) =>
        (await Kaslrmt.CallAsync(["layout", "--kernel", Kernel, "--tenant-key-file", _scratch.Key, .. option.Split(' ')])).FailedWith(number, code);

    [Theory]
    [InlineData("abcdefghi", "KMT1101")]
    [InlineData("", "KMT1101")]
    [InlineData("aaaaaaaaaaaaaaaa", "KMT1104")]
    [InlineData("01234567890123456789", "KMT1106")]
    public async Task A_weak_key_is_refused_with_the_reason(string key, string number)
    {
        Call result = await Kaslrmt.CallAsync("layout", "--kernel", Kernel, "--tenant-key-file", _scratch.Write("weak", key));
        result.FailedWith(number, 3);
        Assert.True(key.Length == 0 || !result.Error.Contains(key, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_key_file_that_others_may_read_is_refused()
    {
        string open = _scratch.Write("open", "kT9#vQ2!mZ7&xR4@pL8^", (UnixFileMode)0b110_100_100);
        (await Kaslrmt.CallAsync("layout", "--kernel", Kernel, "--tenant-key-file", open)).FailedWith("KMT9002", 3);
        (await Kaslrmt.CallAsync("layout", "--kernel", Kernel, "--tenant-key-file", "/nosuch")).FailedWith("KMT9002", 3);
        (await Kaslrmt.CallAsync("layout", "--kernel", Kernel, "--tenant-key-file", "/tmp")).FailedWith("KMT9002", 3);
        (await Kaslrmt.CallAsync("layout", "--kernel", Kernel)).FailedWith("KMT9003", 2);
    }

    [Theory]
    [InlineData("/nosuch", "KMT2008")]
    [InlineData("/tmp", "KMT2008")]
    [InlineData("/dev/zero", "KMT2008")]
    [InlineData("empty", "KMT2001")]
    [InlineData("text", "KMT2001")]
    [InlineData("short", "KMT2002")]
    public async Task A_file_that_is_no_kernel_is_refused_by_every_command_and_nothing_is_written(string name, string number)
    {
        _scratch.Write("empty", "");
        _scratch.Write("text", "hello\n");
        await File.WriteAllBytesAsync(_scratch.At("short"), File.ReadAllBytes(Kernel)[..1_000_000]);
        string file = Path.Combine(_scratch.Folder, name);
        (await Kaslrmt.CallAsync("kernel", file)).FailedWith(number, 3);
        (await Kaslrmt.CallAsync("kernel", file, "--json")).FailedWith(number, 3);
        (await Kaslrmt.CallAsync("image", "--kernel", file, "--tenant-key-file", _scratch.Key, "-o", _scratch.At("out"))).FailedWith(number, 3);
        Assert.Empty(Directory.GetFiles(_scratch.Folder, "*out*"));
    }

    [Fact]
    public async Task A_pipe_is_refused_and_not_waited_for()
    {
        string pipe = _scratch.At("pipe");
        using (Process make = Process.Start("mkfifo", pipe))
        {
            await make.WaitForExitAsync();
        }

        (await Kaslrmt.CallAsync("kernel", pipe)).FailedWith("KMT2008", 3);
        (await Kaslrmt.CallAsync("image", "--kernel", pipe, "--tenant-key-file", _scratch.Key, "-o", _scratch.At("out"))).FailedWith("KMT2008", 3);
        (await Kaslrmt.CallAsync("layout", "--kernel", Kernel, "--tenant-key-file", _scratch.Key, "--initrd", pipe)).FailedWith("KMT9004", 3);
        (await Kaslrmt.CallAsync("image", "--kernel", Kernel, "--tenant-key-file", _scratch.Key, "-o", pipe)).FailedWith("KMT2601", 3);
    }

    [Theory]
    [InlineData("/dev/null")]
    [InlineData("/tmp")]
    [InlineData("/nosuch/out")]
    [InlineData("/proc/out")]
    public async Task An_output_that_cannot_be_a_file_is_refused_and_stays_what_it_is(string path)
    {
        (await Kaslrmt.CallAsync("image", "--kernel", Kernel, "--tenant-key-file", _scratch.Key, "-o", path)).FailedWith("KMT2601", 3);
        Assert.True(!File.Exists(path) || File.GetAttributes(path) != FileAttributes.Normal || new FileInfo(path).Length == 0);
    }

    [Theory]
    [InlineData("--name ../x", "KMT3010", 2)]
    [InlineData("--console /nosuch/x", "KMT9011", 3)]
    [InlineData("--console /tmp", "KMT9011", 3)]
    [InlineData("--accel foo", "KMT3020", 2)]
    [InlineData("--fallback foo", "KMT9001", 2)]
    [InlineData("--qemu nosuch-qemu", "KMT3001", 4)]
    [InlineData("--qemu /bin/false", "KMT3002", 4)]
    [InlineData("-- -bogus", "KMT3002", 4)]
    [InlineData("-- -kernel x", "KMT3030", 2)]
    public async Task A_VM_that_cannot_start_leaves_nothing_behind(string option, string number, int code)
    {
        string[] given = option.Split(' ');
        string[] console = given[0] == "--console" ? [] : ["--console", "none"];
        (await Kaslrmt.CallAsync(["run", "--kernel", Kernel, "--tenant-key-file", _scratch.Key, .. console, .. given])).FailedWith(number, code);
        Assert.Equal("no VM runs\n", (await Kaslrmt.CallAsync("ps")).Output);
        string runtime = Environment.GetEnvironmentVariable("KASLRMT_RUNTIME_DIR")!;

        // Prepared kernels and the experiments' initramfs stay for the next; a VM's folder does not.
        Assert.All(Directory.GetDirectories(runtime), folder => Assert.True(Path.GetFileName(folder) is ".prepared" or ".initramfs", folder));
    }

    [Fact]
    public async Task An_audit_of_nothing_says_so()
    {
        (await Kaslrmt.CallAsync("audit", "--only", "wx", "--skip", "wx")).FailedWith("KMT9001", 2);
        Call none = await Kaslrmt.CallAsync("audit");
        Assert.Equal((0, ""), (none.Code, none.Output));
        Assert.Equal("kaslrmt: no VM runs here: nothing was audited\n", none.Error);
    }

    [Theory]
    [InlineData("show")]
    [InlineData("verify")]
    [InlineData("stop")]
    public async Task A_VM_that_does_not_run_is_named(string command)
    {
        (await Kaslrmt.CallAsync(command, "nosuch")).FailedWith("KMT9006", 2);
        (await Kaslrmt.CallAsync(command, "../../etc")).FailedWith("KMT3010", 2);
    }

    [Fact]
    public async Task A_line_end_in_a_name_does_not_make_a_second_line() => (await Kaslrmt.CallAsync("kernel", "a\nb")).FailedWith("KMT2008", 3);

    [Fact]
    public async Task A_key_in_use_is_not_overwritten()
    {
        string file = _scratch.At("new.key");
        Assert.Equal(0, (await Kaslrmt.CallAsync("key", "new", file)).Code);
        string key = await File.ReadAllTextAsync(file);
        (await Kaslrmt.CallAsync("key", "new", file)).FailedWith("KMT9002", 3);
        Assert.Equal(key, await File.ReadAllTextAsync(file));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Fact]
    public async Task Of_calls_that_make_the_same_key_at_once_one_succeeds()
    {
        string file = _scratch.At("raced.key");
        Call[] calls = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Kaslrmt.CallAsync("key", "new", file))));
        Assert.Single(calls, call => call.Code == 0);
    }

    [Fact]
    public async Task A_new_console_file_is_its_owners_alone()
    {
        string file = _scratch.At("console");
        await Kaslrmt.CallAsync("run", "--kernel", Kernel, "--tenant-key-file", _scratch.Key, "--console", file, "--qemu", "/bin/false");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }
}
