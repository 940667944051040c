using System.Buffers.Binary;
using System.ComponentModel;
using System.Diagnostics;

namespace KaslrMt.Kernels.Tests.Payloads;

/// <summary>The command line tools the kernel's build packs with, used as the reference.</summary>
internal static class ReferenceTool
{
    /// <summary>Packs through a pipe with the options of <c>scripts/Makefile.lib</c> and <c>scripts/xz_wrap.sh</c>.</summary>
    internal static byte[] PackAsKernelBuild(PayloadFormat format, byte[] unpacked) => Pack(format, unpacked, format switch
    {
        PayloadFormat.Gzip => "gzip -n -f -9",
        PayloadFormat.Bzip2 => "bzip2 -9",
        PayloadFormat.Lzma => "xz --format=lzma -9",
        PayloadFormat.Xz => "xz --check=crc32 --threads=1 --x86 --lzma2=,dict=128MiB",
        PayloadFormat.Lzo => "lzop -9",
        PayloadFormat.Lz4 => "lz4 -l -9 - -",
        _ => "zstd -22 --ultra",
    });

    /// <summary>Packs in the same format, with little effort: for whole kernels.</summary>
    internal static byte[] PackFast(PayloadFormat format, byte[] unpacked) => Pack(format, unpacked, format switch
    {
        PayloadFormat.Gzip => "gzip -n -f -1",
        PayloadFormat.Bzip2 => "bzip2 -9",
        PayloadFormat.Lzma => "xz --format=lzma -0",
        PayloadFormat.Xz => "xz --check=crc32 --threads=1 --x86 --lzma2=preset=0,dict=128MiB",
        PayloadFormat.Lzo => "lzop -1",
        PayloadFormat.Lz4 => "lz4 -l -1 - -",
        _ => "zstd -1",
    });

    /// <summary>Packs with a command of the test's own, and appends the size word where the format takes one.</summary>
    internal static byte[] Pack(PayloadFormat format, byte[] unpacked, string command)
    {
        byte[] packed = Run(command, unpacked);
        return format == PayloadFormat.Gzip ? packed : WithSize(packed, (uint)unpacked.Length);
    }

    /// <summary>Unpacks a payload as its format's tool does.</summary>
    internal static byte[] Unpack(PayloadFormat format, byte[] payload) => Run(
        format switch
        {
            PayloadFormat.Gzip => "gzip -dc",
            PayloadFormat.Bzip2 => "bzip2 -dc",
            PayloadFormat.Lzma => "xz --format=lzma -dc",
            PayloadFormat.Xz => "xz -dc",
            PayloadFormat.Lzo => "lzop -dc",
            PayloadFormat.Lz4 => "lz4 -dc",
            _ => "zstd -dc --long=27",
        },
        format == PayloadFormat.Gzip ? payload : payload[..^4]);

    /// <summary>A stream with a size word behind it, true or not.</summary>
    internal static byte[] WithSize(ReadOnlySpan<byte> stream, uint size)
    {
        byte[] payload = new byte[stream.Length + 4];
        stream.CopyTo(payload);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(stream.Length), size);
        return payload;
    }

    private static byte[] Run(string command, byte[] input)
    {
        string[] words = command.Split(' ');
        ProcessStartInfo start = new(words[0], words[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        try
        {
            using Process tool = Process.Start(start)!;
            Task feeding = Task.Run(() =>
            {
                using Stream pipe = tool.StandardInput.BaseStream;
                pipe.Write(input);
            });
            using MemoryStream output = new(input.Length);
            tool.StandardOutput.BaseStream.CopyTo(output, 1 << 20);
            feeding.Wait();
            tool.WaitForExit();
            Assert.True(tool.ExitCode == 0, $"{command} ended with {tool.ExitCode}");
            return output.ToArray();
        }
        catch (Win32Exception e)
        {
            throw new InvalidOperationException(
                $"the tests need {words[0]}; install gzip, bzip2, xz-utils, lzop, lz4 and zstd", e);
        }
    }
}
