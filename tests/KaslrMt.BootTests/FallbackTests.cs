using System.Buffers.Binary;
using KaslrMt.BootTests.Running;

namespace KaslrMt.BootTests;

/// <summary>A kernel that cannot be given a layout: the VM does not start, or starts with the kernel's own KASLR and a loud word.</summary>
public sealed class FallbackTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud", "q35")]
    [InlineData("6.12-cloud", "microvm")]
    public async Task Stock_boots_the_kernels_own_KASLR_and_says_so(string kernel, string machine)
    {
        GuestPlan plan = new() { Kernel = kernel, Machine = machine, Image = Unreadable(kernel), FallBackToStock = true, Seed = TestSecrets.Seed("stock") };
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, plan);
        Assert.Contains("kaslrmt: KMT21", guest.Log, StringComparison.Ordinal);
        Assert.Contains("WARNING", guest.Log, StringComparison.Ordinal);
        Assert.Contains("boots with its kernel's OWN KASLR", guest.Log, StringComparison.Ordinal);
        Assert.False(guest.HasLayout);

        // Its own draw, on four levels or five: neither the link layout nor what the key gives.
        GuestView view = guest.View();
        IReadOnlyDictionary<Layout.Region, ulong> planned = guest.Planned();
        Assert.DoesNotContain(view.Physmap, new HashSet<ulong> { 0xffff888000000000, 0xff11000000000000, planned[Layout.Region.Physmap] });
        Assert.DoesNotContain(view.Vmemmap, new HashSet<ulong> { 0xffffea0000000000, 0xffd4000000000000, planned[Layout.Region.Vmemmap] });

        (int code, string output, string error) = await KaslrmtProcess.RunAsync(_scratch, "verify", guest.Name);
        Assert.Contains("KMT9007", error, StringComparison.Ordinal);
        Assert.NotEqual(0, code);
        Assert.Empty(output);
    }

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public async Task Fail_is_the_default_and_starts_nothing(string kernel)
    {
        string image = Unreadable(kernel);
        string keyFile = _scratch.At("key");
        await File.WriteAllTextAsync(keyFile, TestSecrets.Key("fail"));
        File.SetUnixFileMode(keyFile, UnixFileMode.UserRead);

        // A QEMU that would leave a trace, were it started.
        string trace = _scratch.At("started");
        string qemu = _scratch.At("qemu");
        await File.WriteAllTextAsync(qemu, $"#!/bin/sh\ntouch '{trace}'\n");
        File.SetUnixFileMode(qemu, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        foreach (string[] fallback in new string[][] { [], ["--fallback", "fail"] })
        {
            (int code, _, string error) = await KaslrmtProcess.RunAsync(
                _scratch, ["run", "--kernel", image, "--tenant-key-file", keyFile, "--qemu", qemu, "--console", "none", .. fallback]);
            Assert.Equal(3, code);
            Assert.StartsWith("kaslrmt: KMT21", error, StringComparison.Ordinal);
            Assert.Single(error.TrimEnd().Split('\n'));
            Assert.False(File.Exists(trace));
            Assert.Empty(_scratch.Leftovers);
        }
    }

    // The setup header's payload_offset tells boot loaders where the packed kernel lies. The kernel's own decompressor does not read it:
    // a kernel whose header points elsewhere boots as always and cannot be unpacked from outside.
    private string Unreadable(string kernel)
    {
        const int PayloadOffset = 0x248;
        byte[] file = File.ReadAllBytes(TestKernels.Image(kernel));
        Span<byte> field = file.AsSpan(PayloadOffset, sizeof(uint));
        BinaryPrimitives.WriteUInt32LittleEndian(field, BinaryPrimitives.ReadUInt32LittleEndian(field) + 0x1000);
        string path = _scratch.At("vmlinuz");
        File.WriteAllBytes(path, file);
        return path;
    }
}
