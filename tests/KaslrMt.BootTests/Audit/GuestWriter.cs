using System.Buffers.Binary;
using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests.Audit;

/// <summary>Writes a running guest's memory from outside, as nobody else may: to plant what an audit must find.</summary>
internal sealed class GuestWriter : IDisposable
{
    private const int Levels = 4;
    private readonly FileStream _process;
    private readonly List<(PhysicalRange Range, ulong Host)> _segments = [];

    private GuestWriter(int processId) => _process = new FileStream($"/proc/{processId}/mem", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);

    /// <summary>Opens a guest of a test's own.</summary>
    internal static async Task<GuestWriter> OpenAsync(int processId, string monitorSocket, IGuestMemory memory)
    {
        GuestWriter writer = new(processId);
        await using QmpClient monitor = await QmpClient.ConnectAsync(monitorSocket, TimeSpan.FromSeconds(30));
        foreach (PhysicalRange range in memory.Ranges)
        {
            string answer = await monitor.HumanAsync(string.Create(CultureInfo.InvariantCulture, $"gpa2hva 0x{range.Start.Value:x}"));
            writer._segments.Add((range, ulong.Parse(answer.Trim()[(answer.LastIndexOf("0x", StringComparison.Ordinal) + 2)..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)));
        }

        return writer;
    }

    internal void Write(PhysicalAddress address, ReadOnlySpan<byte> bytes)
    {
        (PhysicalRange range, ulong host) = _segments.Single(segment => segment.Range.Contains(address));
        _process.Position = (long)(host + (address - range.Start));
        _process.Write(bytes);
    }

    internal void Write(GuestKernel kernel, VirtualAddress address, ReadOnlySpan<byte> bytes)
    {
        Assert.True(kernel.Tables.TryTranslate(address, out Mapping mapping) && address - mapping.Address + (ulong)bytes.Length <= mapping.Size);
        Write(mapping.Target + (address - mapping.Address), bytes);
    }

    /// <summary>Where the entries that map an address lie, from the top table down to where the walk ends.</summary>
    internal static List<(PhysicalAddress Place, ulong Entry)> Entries(GuestKernel kernel, VirtualAddress address)
    {
        List<(PhysicalAddress, ulong)> entries = [];
        PhysicalAddress table = kernel.Tables.Root;
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        for (int level = Levels - 1; level >= 0; level--)
        {
            PhysicalAddress place = table + (((address.Value >> (12 + (9 * level))) & 511) * sizeof(ulong));
            kernel.Memory.Read(place, word);
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(word);
            entries.Add((place, entry));
            if ((entry & 1) == 0 || (level < 3 && (entry & 0x80) != 0))
            {
                break;
            }

            table = new PhysicalAddress(entry & 0x000ffffffffff000);
        }

        return entries;
    }

    internal void WriteWord(PhysicalAddress address, ulong word)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, word);
        Write(address, bytes);
    }

    public void Dispose() => _process.Dispose();
}
