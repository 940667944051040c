using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms.Tests.Migration;

/// <summary>What a VM's file and the connection of two hosts let through.</summary>
public sealed class MovingTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("10.0.0.1:7000", "10.0.0.1:7000")]
    [InlineData("tcp:host.example:1", "host.example:1")]
    [InlineData("[::1]:65535", "[::1]:65535")]
    [InlineData("unix:/tmp/a:b", "unix:/tmp/a:b")]
    public void An_address_is_written_as_it_is_read(string text, string written)
    {
        Assert.Equal(written, LinkAddress.Parse(text, "--to").ToString());
        Assert.Equal(written, LinkAddress.Parse(written, "--to").ToString());
    }

    [Fact]
    public void A_file_that_is_no_saved_VM_is_refused()
    {
        byte[] good = Sample().ToPreface();
        string file = _scratch.At("saved");
        Assert.Equal("web1", Write(file, good).Vm.Spec.Name);
        Assert.Equal(good.Length, Write(file, [.. good, 1, 2, 3]).State);
        foreach (byte[] bad in (byte[][])[[], good[..10], good[..^1], [.. "kaslrmt saved 2\n"u8, .. good.AsSpan(16)], [.. good.AsSpan(0, 16), 0xff, 0xff, 0xff, 0x7f, .. good.AsSpan(20)], [.. good.AsSpan(0, 16), 2, 0, 0, 0, (byte)'{', (byte)'}']])
        {
            Assert.Equal(9015, Assert.Throws<KaslrMtException>(() => Write(file, bad)).Code.Number);
        }
    }

    [Fact]
    public async Task A_file_that_another_user_owns_is_refused_whatever_its_mode()
    {
        // What it holds becomes QEMU's arguments. Only root can give a file away, and only root could read one of mode 0600.
        Assert.All((string[])["/proc/self/status", "/proc/1/status"], path =>
        {
            using SafeFileHandle ours = File.OpenHandle(path);
            Assert.NotEqual("belongs to another user", SecretFile.Exposure(ours));
        });
        if (Environment.IsPrivilegedProcess)
        {
            string file = _scratch.At("saved"), keys = _scratch.At("kek");
            Write(file, Sample().ToPreface());
            new KeyRingFile(keys, MayCreate: true).LoadOrCreate().Dispose();
            foreach (string path in (string[])[file, keys])
            {
                using Process chown = Process.Start("chown", ["65534", path]);
                await chown.WaitForExitAsync();
                Assert.Equal(0, chown.ExitCode);
            }

            Assert.Equal(9015, Assert.Throws<KaslrMtException>(() => MigrationHeader.ReadFrom(file)).Code.Number);
            Assert.Equal(TenantErrors.KeyFileExposed, Assert.Throws<KaslrMtException>(() => new KeyRingFile(keys).Load()).Code);
        }
    }

    [Fact]
    public async Task Two_hosts_with_one_key_encryption_key_understand_each_other_and_a_third_does_not()
    {
        using KeyRing keys = KeyRing.Generate(), others = KeyRing.Generate();
        (MigrationLink here, MigrationLink there) = await MeetAsync(keys, keys);
        using (here)
        using (there)
        {
            await here.SendAsync(LinkFrame.State, Encoding.ASCII.GetBytes("one"), default);
            await here.SendAsync(LinkFrame.Go, new LinkMessages("h-1"), default);
            await there.SendAsync(LinkFrame.Taken, new LinkMessages(Problem: "no"), default);
            (LinkFrame kind, byte[] bytes) = await there.ReceiveAsync(default);
            Assert.Equal((LinkFrame.State, "one"), (kind, Encoding.ASCII.GetString(bytes)));
            Assert.Equal("h-1", MigrationLink.WordsOf((await there.ReceiveAsync(default)).Bytes).Host);
            Assert.Equal("no", MigrationLink.WordsOf((await here.ReceiveAsync(default)).Bytes).Problem);
        }

        (here, there) = await MeetAsync(keys, others);
        using (here)
        using (there)
        {
            await here.SendAsync(LinkFrame.Vm, Sample().ToBytes(), default);
            Assert.Equal(9018, (await Assert.ThrowsAsync<KaslrMtException>(() => there.ReceiveAsync(default))).Code.Number);
        }
    }

    [Fact]
    public async Task A_link_that_this_side_hung_up_is_a_broken_connection_and_no_internal_error()
    {
        using KeyRing keys = KeyRing.Generate();
        (MigrationLink here, MigrationLink there) = await MeetAsync(keys, keys);
        using (there)
        {
            here.Dispose();
            await Assert.ThrowsAsync<IOException>(() => here.SendAsync(LinkFrame.Go, new LinkMessages(), default));
            Assert.Equal(VmErrors.Link, (await Assert.ThrowsAsync<KaslrMtException>(() => here.ReceiveAsync(default))).Code);

            // The other side notices, and what waits for its words too.
            (Stream qemu, _) = await WireAsync();
            await using LinkRelay relay = new(there, qemu);
            Assert.Equal(VmErrors.Link, (await Assert.ThrowsAsync<KaslrMtException>(() => relay.NextAsync(default))).Code);
        }
    }

    [Fact]
    public async Task Words_of_a_relay_that_this_side_ended_are_a_broken_connection()
    {
        using KeyRing keys = KeyRing.Generate();
        (MigrationLink here, MigrationLink there) = await MeetAsync(keys, keys);
        using (here)
        using (there)
        {
            (Stream qemu, _) = await WireAsync();
            LinkRelay relay = new(here, qemu);
            Task waiting = relay.NextAsync(default);
            await relay.DisposeAsync();
            Assert.Equal(VmErrors.Link, (await Assert.ThrowsAsync<KaslrMtException>(() => waiting)).Code);
            await Assert.ThrowsAsync<KaslrMtException>(() => relay.NextAsync(default));
        }
    }

    [Fact]
    public async Task What_is_sent_is_not_readable_and_not_to_be_altered_repeated_or_sent_back()
    {
        using KeyRing keys = KeyRing.Generate();
        foreach (Func<byte[], byte[]> wrong in (Func<byte[], byte[]>[])[
            frame => Flipped(frame, 5), frame => Flipped(frame, frame.Length - 1), frame => [.. frame[..4], .. frame[5..], 0], frame => [.. frame, .. frame]])
        {
            (Stream hereEnd, Stream hereWire) = await WireAsync();
            (Stream thereEnd, Stream thereWire) = await WireAsync();
            Task<MigrationLink> to = MigrationLink.ToAsync(hereEnd, keys, default), from = MigrationLink.FromAsync(thereEnd, keys, default);
            await PassAsync(hereWire, thereWire, 8 + 4 + 32);
            await PassAsync(thereWire, hereWire, 32);
            using MigrationLink here = await to, there = await from;

            await here.SendAsync(LinkFrame.State, "SECRET"u8.ToArray(), default);
            byte[] frame = new byte[4 + 1 + 6 + 16];
            await hereWire.ReadExactlyAsync(frame);
            Assert.DoesNotContain("SECRET", Encoding.Latin1.GetString(frame), StringComparison.Ordinal);
            await thereWire.WriteAsync(wrong(frame));
            await hereWire.WriteAsync(frame);
            if (wrong(frame).Length > frame.Length)
            {
                Assert.Equal("SECRET"u8.ToArray(), (await there.ReceiveAsync(default)).Bytes);
            }

            foreach (MigrationLink link in (MigrationLink[])[there, here])
            {
                Assert.Equal(9018, (await Assert.ThrowsAsync<KaslrMtException>(() => link.ReceiveAsync(default))).Code.Number);
            }
        }
    }

    [Fact]
    public void A_saved_VM_that_others_may_write_is_refused()
    {
        string file = _scratch.At("saved");
        Write(file, Sample().ToPreface());
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite);
        Assert.Equal(9015, Assert.Throws<KaslrMtException>(() => MigrationHeader.ReadFrom(file)).Code.Number);
    }

    private static byte[] Flipped(byte[] frame, int at)
    {
        byte[] copy = [.. frame];
        copy[at] ^= 1;
        return copy;
    }

    private static async Task PassAsync(Stream from, Stream to, int size)
    {
        byte[] bytes = new byte[size];
        await from.ReadExactlyAsync(bytes);
        await to.WriteAsync(bytes);
    }

    private static async Task<(Stream, Stream)> WireAsync()
    {
        using TcpListener listener = new(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        Socket caller = new(SocketType.Stream, ProtocolType.Tcp);
        await caller.ConnectAsync(listener.LocalEndpoint);
        return (new NetworkStream(caller, ownsSocket: true), new NetworkStream(await listener.AcceptSocketAsync(), ownsSocket: true));
    }

    private static async Task<(MigrationLink Here, MigrationLink There)> MeetAsync(KeyRing here, KeyRing there)
    {
        (Stream one, Stream other) = await WireAsync();
        Task<MigrationLink> from = MigrationLink.FromAsync(other, there, default);
        return (await MigrationLink.ToAsync(one, here, default), await from);
    }

    private static (MigrationHeader Vm, long State) Write(string file, byte[] bytes)
    {
        File.WriteAllBytes(file, bytes);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return MigrationHeader.ReadFrom(file);
    }

    private static MigrationHeader Sample() => new()
    {
        Spec = new VmSpec
        {
            Name = "web1",
            Kernel = "/vmlinuz",
            CommandLine = "console=ttyS0",
            Memory = 512 << 20,
            Machine = "q35",
            Policy = "110010",
            Producer = "hkdf",
            Cpus = 2,
            Accelerator = Accelerator.Tcg,
            AcceleratorReason = "asked for",
            Console = VmSpec.NoConsole,
            HypervisorArguments = [],
            Program = "qemu-system-x86_64",
            FallBackToStock = false,
            Verify = true,
            UseCache = true,
            WorkingDirectory = "/",
        },
        Created = DateTimeOffset.UnixEpoch,
        Reboots = 3,
    };
}
