using System.Diagnostics;

namespace KaslrMt.NestedTests;

/// <summary>A Debian guest with real systemd in which the agent and its VMs run. It is booted once; what its driver says is what the tests look at.</summary>
public sealed class NestedGuest : IAsyncLifetime
{
    /// <summary>The longest time that the guest may take, all checks included, on a loaded machine.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(20);

    private readonly string _folder = Directory.CreateTempSubdirectory("kaslrmt-nested-").FullName;
    private readonly Dictionary<string, Verdict> _verdicts = new(StringComparer.Ordinal);
    private readonly List<string> _lines = [];

    /// <summary>Gets what the driver says of each check.</summary>
    public IReadOnlyDictionary<string, Verdict> Verdicts => _verdicts;

    /// <summary>Gets a value indicating whether the driver came to its end.</summary>
    public bool IsDone { get; private set; }

    /// <summary>Gets all that the driver said, and the last lines of the guest's console.</summary>
    public string Transcript { get; private set; } = "";

    public async Task InitializeAsync()
    {
        string disk = await MakeDiskAsync();
        string console = Path.Combine(_folder, "console");
        using Process qemu = Process.Start(new ProcessStartInfo("qemu-system-x86_64", Arguments(disk, console)) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        using CancellationTokenSource limit = new(Limit);
        try
        {
            while (await qemu.StandardOutput.ReadLineAsync(limit.Token) is { } line)
            {
                Take(line.TrimEnd('\r'));
            }

            await qemu.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            _lines.Add($"the guest was ended after {Limit}");
        }
        finally
        {
            qemu.Kill();
        }

        string[] seen = File.Exists(console) ? await File.ReadAllLinesAsync(console) : [];
        Transcript = string.Join('\n', [.. _lines, "console:", .. seen.TakeLast(20)]);
    }

    public Task DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return Task.CompletedTask;
    }

    private static string[] Arguments(string disk, string console)
    {
        string bed = Bed();
        return
        [
            // One processor stands still under nested KVM; without -cpu max there is no SVM.
            "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3G", "-nodefaults", "-display", "none", "-no-reboot",
            "-serial", $"file:{console}", "-chardev", "stdio,id=driver,signal=off", "-serial", "chardev:driver",
            "-kernel", Path.Combine(bed, "vmlinuz"), "-initrd", Path.Combine(bed, "initrd"),
            "-append", "console=ttyS0 root=/dev/vda rw quiet mitigations=off systemd.show_status=0 tsc=reliable",
            "-drive", $"file={Path.Combine(bed, "root.ext4")},if=virtio,format=raw,snapshot=on", "-drive", $"file={disk},if=virtio,format=raw,snapshot=on",
        ];
    }

    /// <summary>Makes the guest's second disk: the driver, the programs as they are published, and what a package brings for systemd.</summary>
    private async Task<string> MakeDiskAsync()
    {
        string repository = Repository(), published = Path.Combine(repository, "out"), tree = Path.Combine(_folder, "tree"), disk = Path.Combine(_folder, "disk");
        string programs = Directory.CreateDirectory(Path.Combine(tree, "bin")).FullName;
        foreach (string program in new[] { "kaslrmt", "kaslrmtd" })
        {
            Assert.True(File.Exists(Path.Combine(published, program)), $"{program} is not in {published}: run eng/publish.sh");
            File.Copy(Path.Combine(published, program), Path.Combine(programs, program));
        }

        foreach (string library in Directory.EnumerateFiles(published, "*.so"))
        {
            File.Copy(library, Path.Combine(programs, Path.GetFileName(library)));
        }

        foreach (string file in new[] { "kaslrmtd.service", "kaslrmt.sysusers.conf" })
        {
            File.Copy(Path.Combine(repository, "eng", "packaging", file), Path.Combine(tree, file));
        }

        File.Copy(Path.Combine(AppContext.BaseDirectory, "Bed", "driver"), Path.Combine(tree, "driver"));
        using Process make = Process.Start(new ProcessStartInfo("/usr/sbin/mke2fs", ["-q", "-t", "ext4", "-d", tree, disk, "256M"]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        string problem = await make.StandardError.ReadToEndAsync();
        await make.WaitForExitAsync();
        Assert.True(make.ExitCode == 0, problem);
        return disk;
    }

    private static string Bed()
    {
        string cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } given ? given : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        string bed = Path.Combine(Environment.GetEnvironmentVariable("KASLRMT_NESTED") is { Length: > 0 } named ? named : Path.Combine(cache, "kaslrmt", "nested"), "bed");
        Assert.True(File.Exists(Path.Combine(bed, "root.ext4")), $"the nested guest is not in {bed}: run eng/nested.sh");
        return bed;
    }

    private static string Repository()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "kaslrmt.slnx")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException($"no folder above {AppContext.BaseDirectory} holds kaslrmt.slnx");
    }

    /// <summary>Takes a line of the driver: <c>PASS name: what</c>, <c>FAIL name: why</c>, <c>DONE</c>. A check that failed once has failed.</summary>
    private void Take(string line)
    {
        _lines.Add(line);
        IsDone |= line == "DONE";
        if (line.StartsWith("PASS ", StringComparison.Ordinal) || line.StartsWith("FAIL ", StringComparison.Ordinal))
        {
            string[] parts = line[5..].Split(':', 2, StringSplitOptions.TrimEntries);
            bool passed = line[0] == 'P' && !(_verdicts.TryGetValue(parts[0], out Verdict earlier) && !earlier.Passed);
            if (passed || line[0] == 'F')
            {
                _verdicts[parts[0]] = new Verdict(passed, parts.ElementAtOrDefault(1) ?? "");
            }
        }
    }

    /// <summary>What the driver says of one check.</summary>
    /// <param name="Passed">Whether it passed.</param>
    /// <param name="Detail">What was seen, or why it failed.</param>
    public readonly record struct Verdict(bool Passed, string Detail);
}
