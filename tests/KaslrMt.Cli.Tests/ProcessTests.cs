using System.Diagnostics;
using KaslrMt.Cli.Options;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Tests;

/// <summary>What only a process of its own shows: closed and full streams, signals, a key on standard input.</summary>
public sealed class ProcessTests : IDisposable
{
    private const string Program = "\"$0\" layout --kernel \"$1\" --tenant-key-file";

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(Program + " \"$2\" >/dev/full", 4, "kaslrmt: KMT9010: ")]
    [InlineData(Program + " \"$2\" >&-", 4, "kaslrmt: KMT9010: ")]
    [InlineData("\"$0\" layout --help >/dev/full", 4, "kaslrmt: KMT9010: ")]
    [InlineData(Program + " /nosuch 2>/dev/full", 3, "")]
    [InlineData(Program + " \"$2\" | head -1; exit ${PIPESTATUS[0]}", 0, "")]
    [InlineData(Program + " - <\"$2\"", 0, "")]
    [InlineData(Program + " - </dev/null", 3, "kaslrmt: KMT1101: ")]
    public async Task Streams_that_end_or_fill_are_no_crash(string script, int code, string error)
    {
        (int actual, string said) = await Bash(script);
        Assert.Equal(code, actual);
        Assert.StartsWith(error, said, StringComparison.Ordinal);
        Assert.Equal(error.Length == 0 ? 0 : 1, said.Count(c => c == '\n'));
    }

    [Fact]
    public async Task Ctrl_C_during_image_leaves_no_part_of_a_file()
    {
        string folder = Directory.CreateDirectory(_scratch.At("out")).FullName;
        string image = Path.Combine(folder, "image");
        Assert.Equal(0, (await Bash($"\"$0\" image --no-cache --kernel \"$1\" --tenant-key-file \"$2\" -o '{image}'")).Code);
        long whole = new FileInfo(image).Length;
        File.Delete(image);
        for (int milliseconds = 100; milliseconds <= 500; milliseconds += 100)
        {
            (int code, _) = await Bash(
                $"set -m; \"$0\" image --no-cache --kernel \"$1\" --tenant-key-file \"$2\" -o '{folder}/image' & sleep 0.{milliseconds / 100}; kill -INT $!; wait $!");
            string[] left = [.. Directory.GetFiles(folder).Select(file => Path.GetFileName(file)!)];
            Assert.True(code is 0 or 130, $"after {milliseconds} ms: exit code {code}");

            // The signal may come once the file is whole and named: then it stays.
            Assert.True(left is [] ? code == 130 : left is ["image"] && new FileInfo(image).Length == whole, $"after {milliseconds} ms: left {string.Join(' ', left)}");
            File.Delete(image);
        }
    }

    [Fact]
    public async Task A_stream_that_is_closed_is_nothing_for_QEMU_and_no_socket_of_its_own()
    {
        string seen = _scratch.At("seen");
        string qemu = _scratch.Write("qemu", $"#!/bin/sh\nseen=$(readlink /proc/$$/fd/0 /proc/$$/fd/1)\necho \"$seen\" >{seen}\n", (UnixFileMode)0b111_000_000);
        await Bash($"\"$0\" run --kernel \"$1\" --tenant-key-file \"$2\" --qemu '{qemu}' <&- >&-");
        Assert.Equal("/dev/null\n/dev/null\n", await File.ReadAllTextAsync(seen));
    }

    [Fact]
    public async Task A_watch_ends_when_nobody_reads_it_any_longer()
    {
        (int code, string error) = await Bash("timeout 60 \"$0\" ps --watch | head -n 1; exit ${PIPESTATUS[0]}");
        Assert.Equal("", error);
        Assert.Equal(0, code);
    }

    private async Task<(int Code, string Error)> Bash(string script)
    {
        var start = new ProcessStartInfo("bash", ["-c", script, Path.Combine(AppContext.BaseDirectory, "kaslrmt"), TestKernels.Image("6.1-cloud"), _scratch.Key])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await output;
        await process.WaitForExitAsync();
        return (process.ExitCode, error);
    }
}
