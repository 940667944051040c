using System.Buffers.Binary;
using System.Text;

namespace KaslrMt.Hypervisors.Tests.Gate;

/// <summary>What a guest's memory holds when it waits at its gate, written by the offsets of <c>docs/gate.md</c>.</summary>
internal static class WaitingGuest
{
    internal const ulong Mailbox = 0x181000;
    internal const ulong StartInfo = 0x182000;
    internal const ulong FirmwareLine = 0x183000;
    internal const ulong MapEntries = StartInfo + 0x40;

    /// <summary>What its gate drew.</summary>
    internal const uint Session = 0x5e551011;

    /// <summary>A machine of 64 MiB below 4 GiB and 16 MiB above.</summary>
    internal static readonly (ulong Start, ulong Length, uint Type)[] Map =
    [
        (0, 0x9fc00, 1), (0x9fc00, 0x400, 2), (0xf0000, 0x10000, 2), (0x100000, (64 << 20) - 0x120000, 1), ((64 << 20) - 0x20000, 0x20000, 3), (1UL << 32, 16 << 20, 1),
    ];

    /// <summary>RAM for that machine.</summary>
    internal static FakeRam Ram() => new(PhysicalRange.Between(0, 64 << 20), new PhysicalRange(new PhysicalAddress(1UL << 32), 16 << 20));

    /// <summary>A guest that waits.</summary>
    internal static FakeRam Create(string line = "", uint features = 0, ulong rsdp = 0xf5a20, (ulong Start, ulong Length, uint Type)[]? map = null)
    {
        FakeRam ram = Ram();
        Fill(ram, line, features, rsdp, map ?? Map);
        return ram;
    }

    internal static void Fill(FakeRam ram, string line, uint features, ulong rsdp, (ulong Start, ulong Length, uint Type)[] map)
    {
        ram.Put(0x180000, GateFile.Bytes.Span[0x1000..0x2000]);
        ram.Put(Mailbox, "KMTGATE1WAIT"u8);
        ram.Put(Mailbox + 0x0c, Bytes(0));
        ram.Put(Mailbox + 0x10, Bytes(features));
        ram.Put(Mailbox + 0x20, Bytes(Session));
        Span<byte> info = stackalloc byte[56];
        BinaryPrimitives.WriteUInt32LittleEndian(info, 0x336ec578);
        BinaryPrimitives.WriteUInt32LittleEndian(info[4..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(info[0x20..], rsdp);
        BinaryPrimitives.WriteUInt64LittleEndian(info[0x28..], 0x12345);
        BinaryPrimitives.WriteUInt32LittleEndian(info[0x30..], (uint)map.Length);
        ram.Put(StartInfo, info);
        for (int i = 0; i < Math.Min(map.Length, 128); i++)
        {
            PutEntry(ram, i, map[i]);
        }

        ram.Put(FirmwareLine, Encoding.ASCII.GetBytes(line + "\0"));
    }

    internal static void PutEntry(FakeRam ram, int index, (ulong Start, ulong Length, uint Type) entry)
    {
        Span<byte> bytes = stackalloc byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, entry.Start);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], entry.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[16..], entry.Type);
        ram.Put(MapEntries + (24 * (ulong)index), bytes);
    }

    internal static byte[] Bytes(uint word) => BitConverter.GetBytes(word);
}
