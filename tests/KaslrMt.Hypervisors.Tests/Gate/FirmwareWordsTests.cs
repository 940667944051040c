using System.Globalization;
using System.Text;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using Microsoft.Win32.SafeHandles;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace KaslrMt.Hypervisors.Tests.Gate;

/// <summary>What the guest's memory says that firmware said: read as it is, refused where it cannot be, harmless whatever it is.</summary>
public sealed class FirmwareWordsTests(ITestOutputHelper output) : IDisposable
{
    private const string SeedVariable = "KASLRMT_MUTATION_SEED";
    private const int Mailboxes = 12_000;
    private const ulong GiB = 1UL << 30;
    private const ulong MiB = 1UL << 20;
    private const uint Ram = 1;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Words_are_read_as_they_are()
    {
        FirmwareWords words = FirmwareWords.Read(WaitingGuest.Create(" virtio_mmio.device=512@0xfeb02e00:23 ", features: 1, rsdp: 0xf5a20));
        Assert.Equal(0xf5a20UL, words.Rsdp);
        Assert.Equal("virtio_mmio.device=512@0xfeb02e00:23", words.CommandLine);
        Assert.True(words.HasFiveLevels);
        Assert.Equal(WaitingGuest.Map, words.MemoryMap.Select(entry => (entry.Range.Start.Value, entry.Range.Length, entry.Type)));

        GuestMemoryMap map = words.ToMemoryMap(PhysicalRange.Between(0x2000000, 0x2001000));
        Assert.Equal(WaitingGuest.Map.Where(entry => entry.Type == Ram).Select(entry => new PhysicalRange(new PhysicalAddress(entry.Start), entry.Length)), map.Ram);
        Assert.Equal(PhysicalRange.Between(0x2000000, 0x2001000), Assert.Single(map.Reserved));
    }

    [Fact]
    public void A_machine_may_have_no_ACPI_no_command_line_and_no_five_levels()
    {
        // The bits of the features that have no meaning yet have none.
        FirmwareWords words = FirmwareWords.Read(WaitingGuest.Create(features: 0xfffffffe, rsdp: 0));
        Assert.Equal((0UL, "", false), (words.Rsdp, words.CommandLine, words.HasFiveLevels));
        Assert.Empty(words.ToMemoryMap(null).Reserved);
    }

    [Fact]
    public void A_map_has_128_entries_at_most_and_ends_at_2_to_52()
    {
        (ulong, ulong, uint)[] most = [.. Enumerable.Range(0, 128).Select(i => ((ulong)i << 24, 0x1000000UL, 2u))];
        most[127] = ((1UL << 52) - 4096, 4096, Ram);
        FirmwareWords words = FirmwareWords.Read(WaitingGuest.Create(map: most));
        Assert.Equal(128, words.MemoryMap.Count);
        Assert.Equal(1UL << 52, words.MemoryMap[^1].Range.End.Value);
        Assert.Equal(new string('x', 4095), FirmwareWords.Read(WaitingGuest.Create(line: new string('x', 4095))).CommandLine);
    }

    [Theory]
    [InlineData(0x182000, 0x336ec579u, "begins with 0x336ec579")]
    [InlineData(0x182004, 0u, "has version 0")]
    [InlineData(0x182030, 0u, "has 0 entries")]
    [InlineData(0x182030, 129u, "has 129 entries")]
    [InlineData(0x182030, 0xffffffffu, "has 4294967295 entries")]
    [InlineData(0x182046, 0x11u, "entry 0 of the memory map ends beyond")]
    [InlineData(0x18204c, 0xffffffffu, "entry 0 of the memory map ends beyond")]
    [InlineData(0x1820c4, 0x00100000u, "entry 5 of the memory map ends beyond")]
    public void A_word_that_cannot_be_is_refused(ulong address, uint word, string problem)
    {
        FakeRam ram = WaitingGuest.Create();
        ram.Put(address, WaitingGuest.Bytes(word));
        Refused(ram, problem);
    }

    [Theory]
    [InlineData("ä")]
    [InlineData("console=ttyS0\u00ff")]
    public void A_command_line_that_is_not_ASCII_is_refused(string line)
    {
        FakeRam ram = WaitingGuest.Create();
        ram.Put(WaitingGuest.FirmwareLine, Encoding.Latin1.GetBytes(line + "\0"));
        Refused(ram, "not ASCII");
    }

    [Fact]
    public void A_command_line_without_an_end_is_refused()
    {
        FakeRam ram = WaitingGuest.Create();
        ram.Bytes(WaitingGuest.FirmwareLine, 4096).Fill((byte)'x');
        Refused(ram, "does not end");
    }

    [Theory]
    [InlineData(0x180000)]
    [InlineData(0x182000)]
    [InlineData(0x183000)]
    [InlineData(0x183fff)]
    public void Words_where_there_is_no_memory_are_refused(ulong end)
    {
        var ram = new FakeRam(PhysicalRange.Between(0, end));
        ram.Put(0, WaitingGuest.Create().Bytes(0, (int)end));
        Refused(ram, "there is no memory");
    }

    [Theory]
    [InlineData(1, 64 * MiB - 0x21000)]
    [InlineData(4096, 64 * MiB - 0x21000)]
    [InlineData(4097, 64 * MiB - 0x22000)]
    [InlineData(47 * MiB, 17 * MiB - 0x20000)]
    [InlineData((48 * MiB) - 0x20000, 16 * MiB)]
    public void An_initrd_goes_to_the_top_of_the_memory_below_4_GiB(ulong size, ulong expected) =>
        Assert.Equal(new PhysicalRange(new PhysicalAddress(expected), size), FirmwareWords.Read(WaitingGuest.Create()).PlaceInitrd(size));

    [Fact]
    public void An_initrd_goes_over_no_hole_and_not_beyond_4_GiB()
    {
        // 1 MiB at the top below 4 GiB, 8 MiB below that, then a hole, then much; and one range that crosses 4 GiB.
        (ulong, ulong, uint)[] map = [(MiB, 2 * GiB, Ram), (3 * GiB, 8 * MiB, Ram), ((4 * GiB) - MiB, GiB, Ram), ((4 * GiB) - (2 * MiB), MiB, 2)];
        FirmwareWords words = FirmwareWords.Read(WaitingGuest.Create(map: map));
        Assert.Equal((4 * GiB) - 0x3000, words.PlaceInitrd(0x2001).Start.Value);
        Assert.Equal((4 * GiB) - MiB, words.PlaceInitrd(MiB).Start.Value);
        Assert.Equal((3 * GiB) + (7 * MiB) - 0x1000, words.PlaceInitrd(MiB + 1).Start.Value);
        Assert.Equal(3 * GiB, words.PlaceInitrd(8 * MiB).Start.Value);
        Assert.Equal(MiB + (2 * GiB) - (9 * MiB), words.PlaceInitrd(9 * MiB).Start.Value);
    }

    [Theory]
    [InlineData((48 * MiB) - 0x20000 + 1)]
    [InlineData(64 * MiB)]
    [InlineData(4 * GiB)]
    [InlineData(ulong.MaxValue)]
    public void An_initrd_that_would_reach_below_16_MiB_or_fits_nowhere_is_refused(ulong size) =>
        Assert.Equal(HypervisorErrors.InitrdTooLarge, Assert.Throws<KaslrMtException>(() => FirmwareWords.Read(WaitingGuest.Create()).PlaceInitrd(size)).Code);

    [Fact]
    public void Whatever_the_mailbox_says_the_host_writes_where_it_may_or_refuses()
    {
        // Fixed, so that a failure is everybody's; another one with the variable.
        int first = Environment.GetEnvironmentVariable(SeedVariable) is { Length: > 0 } given ? int.Parse(given, CultureInfo.InvariantCulture) : 20_261_129;
        byte[] content = new byte[10_000];
        using SafeFileHandle initrd = Open(content);
        using PreparedKernel kernel = SmallKernel.Of(SmallKernel.Facts, new byte[0x4804]);
        using TenantKey key = TenantKey.Parse("a-tenant-key-of-the-tests");
        using VmSeed seed = VmSeed.FromHex(new string('5', 64));
        FakeRam ram = WaitingGuest.Ram();
        int refused = 0, placed = 0, opened = 0;
        for (int i = 0; i < Mailboxes; i++)
        {
            int number = unchecked(first + i) & int.MaxValue;
            try
            {
                Fill(ram, new Random(number));
                ram.Writes.Clear();
                using var gate = new VmGate(ram);
                FirmwareWords words = gate.ReadWords();
                Assert.InRange(words.MemoryMap.Count, 1, 128);
                Assert.InRange(words.CommandLine.Length, 0, 4095);
                PhysicalRange range = words.PlaceInitrd((ulong)content.Length);
                Assert.InRange(range.Start.Value, 16 * MiB, (4 * GiB) - range.Length);
                Assert.Contains(words.MemoryMap, entry => entry.Type == Ram && entry.Range.Contains(range.Start, range.Length));
                placed++;
                using KernelLayout layout = LayoutPlanner.Plan(
                    kernel.Facts.Geometry, words.ToMemoryMap(range), Policy.Default, key, seed, AddressProducers.Default);
                gate.Open(kernel, layout, ModuleAddresses.ByOrder, "quiet", initrd, range, words);
                opened++;
            }
            catch (KaslrMtException error)
            {
                refused++;
                Assert.DoesNotContain(error.Message, char.IsControl);
                Assert.DoesNotContain(ram.Writes, write => write.Start.Value == WaitingGuest.Mailbox + GateProtocol.Go);
            }
            catch (Exception error) when (error is not XunitException)
            {
                throw new XunitException($"{SeedVariable}={number} repeats this: {error}");
            }

            // RAM alone (the fake refuses all else), and of the first 16 MiB only what the host may write of the gate's area.
            PhysicalRange? astray = ram.Writes.Where(write => !MayBeWritten(write)).Select(write => (PhysicalRange?)write).FirstOrDefault();
            Assert.True(astray is null, $"{SeedVariable}={number} repeats this: the host wrote {astray}");
        }

        output.WriteLine($"{refused} refused, {placed} with an initrd, {opened} opened");

        // Else the mailboxes say nothing.
        Assert.InRange(opened, Mailboxes / 20, Mailboxes);
        Assert.InRange(placed - opened, Mailboxes / 100, Mailboxes);
        Assert.InRange(refused, Mailboxes / 10, Mailboxes);
    }

    private static bool MayBeWritten(PhysicalRange write) =>
        write.Start.Value >= 16 * MiB
        || (write.Start.Value >= GateProtocol.ZeroPage && write.End.Value <= GateProtocol.Area + (GateProtocol.AreaPages * 4096))
        || write is { Start.Value: GateProtocol.Mailbox + GateProtocol.Entry, Length: 8 } or { Start.Value: GateProtocol.Mailbox + GateProtocol.Go, Length: 4 };

    // A plausible mailbox with a few words changed, or one of random bytes.
    private static void Fill(FakeRam ram, Random random)
    {
        ulong[] edges = [0, 1, 4095, 0x9fc00, MiB, 16 * MiB, (16 * MiB) - 1, 63 * MiB, 64 * MiB, 4 * GiB, (4 * GiB) - 4096, (4 * GiB) + (16 * MiB), 1UL << 52, (1UL << 52) - 1, 1UL << 63, ulong.MaxValue];
        (ulong Start, ulong Length, uint Type)[] map = [.. WaitingGuest.Map];
        switch (random.Next(4))
        {
            case 0:
                // No machine's.
                map = [.. Enumerable.Range(0, random.Next(1, 130)).Select(_ => (Address(), Address(), (uint)random.Next(6)))];
                break;
            case 1:
                // A machine's, of other memory than this one has.
                ulong end = 0;
                map = [.. Enumerable.Range(0, random.Next(1, 12)).Select(_ =>
                {
                    ulong start = end + ((ulong)random.Next(3) * MiB), length = (ulong)random.Next(1, 2000) << random.Next(12, 23);
                    end = start + length;
                    return (start, length, random.Next(3) == 0 ? 2 : Ram);
                })];
                break;
            default:
                break;
        }

        WaitingGuest.Fill(ram, "quiet", 0, 0, map);
        ram.Bytes(GateProtocol.ZeroPage, 13 * 4096).Clear();
        for (int change = random.Next(4); change > 0; change--)
        {
            switch (random.Next(6))
            {
                case 0:
                    WaitingGuest.PutEntry(ram, random.Next(map.Length is var n && n > 128 ? 128 : n), (Address(), Address(), (uint)random.Next(3)));
                    break;
                case 1:
                    ram.Put(WaitingGuest.StartInfo + (ulong)(4 * random.Next(14)), WaitingGuest.Bytes(random.Next(4) == 0 ? (uint)random.Next(200) : (uint)random.NextInt64(1L << 32)));
                    break;
                case 2:
                    random.NextBytes(ram.Bytes(WaitingGuest.StartInfo, random.Next(4) == 0 ? 4096 : 56));
                    break;
                case 3:
                    random.NextBytes(ram.Bytes(WaitingGuest.FirmwareLine, 4096));
                    break;
                case 4:
                    foreach (ref byte one in ram.Bytes(WaitingGuest.FirmwareLine, random.Next(4097)))
                    {
                        one = (byte)random.Next(1, 128);
                    }

                    break;
                default:
                    random.NextBytes(random.Next(2) == 0 ? ram.Bytes(WaitingGuest.Mailbox, 4096) : ram.Bytes(WaitingGuest.Mailbox + 0x0c, 4084));
                    break;
            }
        }

        ulong Address() => random.Next(4) switch
        {
            0 => (ulong)random.NextInt64(),
            1 => (ulong)random.NextInt64(64) * MiB,
            2 => edges[random.Next(edges.Length)] + (ulong)random.Next(-2, 3),
            _ => edges[random.Next(edges.Length)],
        };
    }

    private static void Refused(FakeRam ram, string problem)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => FirmwareWords.Read(ram));
        Assert.Equal(HypervisorErrors.GateWords, error.Code);
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    private SafeFileHandle Open(byte[] content)
    {
        File.WriteAllBytes(_scratch.At("initrd"), content);
        return File.OpenHandle(_scratch.At("initrd"));
    }
}
