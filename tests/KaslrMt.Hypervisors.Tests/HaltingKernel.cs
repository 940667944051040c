using System.Buffers.Binary;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>The smallest PVH kernel: it halts at its entry, so memory shows exactly what firmware and monitor did before.</summary>
internal static class HaltingKernel
{
    internal const ulong Base = 0x1000000;
    private static readonly byte[] Halt = [0xfa, 0xf4, 0xeb, 0xfd];

    internal static string Write(string path, params byte[] before)
    {
        byte[] file = new byte[0x2000];
        "\u007fELF\u0002\u0001\u0001"u8.CopyTo(file);
        Put16(16, 2);
        Put16(18, 62);
        Put32(20, 1);
        Put64(24, Base);
        Put64(32, 64);
        Put16(52, 64);
        Put16(54, 56);
        Put16(56, 2);
        Segment(64, type: 1, offset: 0x1000, address: Base, size: (ulong)(before.Length + Halt.Length), align: 0x1000);
        Segment(120, type: 4, offset: 0x200, address: 0, size: 24, align: 4);

        // XEN_ELFNOTE_PHYS32_ENTRY: name size, content size, type 18, "Xen", the entry.
        Put32(0x200, 4);
        Put32(0x204, 8);
        Put32(0x208, 18);
        "Xen\0"u8.CopyTo(file.AsSpan(0x20c));
        Put64(0x210, Base);

        // cli; hlt; jmp back, after what the test wants the processor to do first.
        before.CopyTo(file, 0x1000);
        Halt.CopyTo(file, 0x1000 + before.Length);
        File.WriteAllBytes(path, file);
        return path;

        void Put16(int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(at), value);
        void Put32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at), value);
        void Put64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(at), value);
        void Segment(int at, uint type, ulong offset, ulong address, ulong size, ulong align)
        {
            Put32(at, type);
            Put32(at + 4, 5);
            Put64(at + 8, offset);
            Put64(at + 16, address);
            Put64(at + 24, address);
            Put64(at + 32, size);
            Put64(at + 40, size);
            Put64(at + 48, align);
        }
    }
}
