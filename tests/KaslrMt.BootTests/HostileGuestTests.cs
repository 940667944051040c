using System.Text;
using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;

namespace KaslrMt.BootTests;

/// <summary>A real guest's memory with words changed, as a hostile kernel could write them: an error or an answer, in bounded time.</summary>
public sealed class HostileGuestTests : IDisposable
{
    private const int Mutations = 2000;
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);
    private static readonly VirtualAddress KernelAddressSpace = new(0xff00000000000000);

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Changed_page_tables_and_symbol_tables_give_an_error_or_an_answer_in_bounded_time()
    {
        using CopiedMemory memory = await CopyAsync();
        GuestKernel kernel = GuestKernel.Find(memory);
        ulong[] tables = TablesOf(kernel);
        ulong image = kernel.PhysicalBase.Value;

        // By its image a kernel is found without its symbols being read, so most rounds take milliseconds; every tenth reads all.
        var known = new KernelHints(Image: new KernelIdentity(
            kernel.Release, Encoding.ASCII.GetBytes(kernel.Banner), kernel.Symbol("linux_banner")!.Value - kernel.VirtualBase, kernel.Tables.Root - kernel.PhysicalBase));
        int found = 0, refused = 0;
        for (int seed = 0; seed < Mutations; seed++)
        {
            var random = new Random(seed);
            List<(ulong At, ulong Was)> undo = [];
            for (int change = random.Next(1, 9); change > 0; change--)
            {
                // Mostly tables, where one word decides; sometimes any word of the image, symbol tables among them.
                ulong at = random.Next(4) > 0 ? tables[random.Next(tables.Length)] + ((ulong)random.Next(512) * 8) : image + ((ulong)random.Next(4 << 20) * 8);
                undo.Add((at, memory[at]));
                memory[at] = random.Next(4) switch
                {
                    0 => tables[random.Next(tables.Length)] | 0x63,
                    1 => unchecked((ulong)random.NextInt64()) | 1,
                    2 => memory[at] ^ (1UL << random.Next(64)),
                    _ => 0,
                };
            }

            try
            {
                KernelHints hints = seed % 10 == 0 ? default : known;
                await Task.Run(() => Assert.InRange(GuestKernel.Find(memory, hints).Tables.Leaves(KernelAddressSpace, new(ulong.MaxValue)).Count(), 0, int.MaxValue)).WaitAsync(Bound);
                found++;
            }
            catch (KaslrMtException error)
            {
                Assert.True(error.Code.Number is 5011 or 5012 or 5014, $"seed {seed}: {error.Message}");
                refused++;
            }

            undo.Reverse();
            undo.ForEach(change => memory[change.At] = change.Was);
        }

        Assert.Equal(Mutations, found + refused);
        Assert.InRange(found, 1, Mutations);
        Assert.Equal(kernel.VirtualBase, GuestKernel.Find(memory).VirtualBase);
    }

    private static ulong[] TablesOf(GuestKernel kernel)
    {
        // The top table and those that it leads to by its last entry, down to the text's.
        HashSet<ulong> tables = [kernel.Tables.Root.Value];
        Span<byte> word = stackalloc byte[8];
        foreach (ulong above in (ulong[])[.. tables])
        {
            ulong table = above;
            foreach (int entry in (int[])[511, 510])
            {
                kernel.Memory.Read(new(table + ((ulong)entry * 8)), word);
                table = BitConverter.ToUInt64(word) & 0x000ffffffffff000;
                tables.Add(table);
            }

            for (ulong entry = 0; entry < 512; entry++)
            {
                kernel.Memory.Read(new(table + (entry * 8)), word);
                ulong value = BitConverter.ToUInt64(word);
                if ((value & 0x81) == 1)
                {
                    tables.Add(value & 0x000ffffffffff000);
                }
            }
        }

        return [.. tables];
    }

    private async Task<CopiedMemory> CopyAsync()
    {
        await using StockGuest guest = await StockGuest.StartAsync(
            _scratch, "6.12-cloud", monitor: true, append: "no5lvl", arguments: ["-machine", "pc", "-cpu", "max", "-m", "192M"]);
        await using QemuGuest paused = await QemuGuest.OpenAsync(guest.ProcessId, null, null);
        return new CopiedMemory(paused.Memory);
    }

    /// <summary>A guest's RAM, copied, to be changed at will.</summary>
    private sealed class CopiedMemory : IGuestMemory
    {
        private readonly byte[] _bytes;

        internal CopiedMemory(IGuestMemory memory)
        {
            Ranges = memory.Ranges;
            _bytes = new byte[Ranges[^1].End.Value];
            foreach (PhysicalRange range in Ranges)
            {
                memory.Read(range.Start, _bytes.AsSpan((int)range.Start.Value, (int)range.Length));
            }
        }

        public IReadOnlyList<PhysicalRange> Ranges { get; }

        internal ulong this[ulong at]
        {
            get => BitConverter.ToUInt64(_bytes.AsSpan((int)at));
            set => BitConverter.TryWriteBytes(_bytes.AsSpan((int)at), value);
        }

        public void Read(PhysicalAddress address, Span<byte> destination) => Assert.True(TryRead(address, destination));

        public bool TryRead(PhysicalAddress address, Span<byte> destination)
        {
            ulong length = (ulong)destination.Length;
            foreach (PhysicalRange range in Ranges)
            {
                if (range.Contains(address, length))
                {
                    _bytes.AsSpan((int)address.Value, destination.Length).CopyTo(destination);
                    return true;
                }
            }

            return false;
        }

        public void Dispose()
        {
            // An array needs no release.
        }
    }
}
