using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace KaslrMt.Guests;

/// <summary>What the notes of a guest's core say about its kernel: QEMU's processor states, and the kernel's own VMCOREINFO.</summary>
/// <remarks>
/// QEMU: <c>target/i386/arch_dump.c</c>, struct QEMUCPUState (name "QEMU", type 0). Linux: <c>kernel/vmcore_info.c</c>, lines of KEY=VALUE, there
/// when the guest has the vmcoreinfo device.
/// </remarks>
internal static class CoreNotes
{
    private const int NoteHeader = 12;

    // version, size; rax to r15, rip, rflags; ten segments of 24 bytes; then cr0 to cr4.
    private const int ControlRegisters = 8 + (18 * 8) + (10 * 24);
    private const int RegisterCount = 5;
    private const ulong FiveLevelPaging = 1 << 12;
    private const ulong Paging = 1UL << 31;
    private const ulong TextMapping = 0xffffffff80000000;

    /// <summary>Reads them; what makes no sense is passed over.</summary>
    public static KernelHints Read(ReadOnlySpan<byte> notes)
    {
        KernelHints processor = default;
        while (notes.Length >= NoteHeader)
        {
            ulong name = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            ulong size = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            ulong start = NoteHeader + Padded(name);
            if (start + size > (ulong)notes.Length)
            {
                break;
            }

            ReadOnlySpan<byte> kind = notes.Slice(NoteHeader, (int)name).TrimEnd((byte)0);
            ReadOnlySpan<byte> content = notes.Slice((int)start, (int)size);
            if (kind.SequenceEqual("VMCOREINFO"u8) && OfVmcoreInfo(content) is { TopTable: not null } told)
            {
                // The kernel's own word is better than where a processor happened to be.
                return told;
            }

            if (kind.SequenceEqual("QEMU"u8) && processor.TopTable is null && content.Length >= ControlRegisters + (RegisterCount * 8))
            {
                ulong cr0 = BinaryPrimitives.ReadUInt64LittleEndian(content[ControlRegisters..]);
                ulong cr3 = BinaryPrimitives.ReadUInt64LittleEndian(content[(ControlRegisters + (3 * 8))..]);
                ulong cr4 = BinaryPrimitives.ReadUInt64LittleEndian(content[(ControlRegisters + (4 * 8))..]);
                processor = (cr0 & Paging) == 0 ? default : new KernelHints(new PhysicalAddress(cr3), (cr4 & FiveLevelPaging) != 0);
            }

            notes = notes[(int)Math.Min((ulong)notes.Length, start + Padded(size))..];
        }

        return processor;
    }

    private static ulong Padded(ulong length) => (length + 3) & ~3UL;

    private static KernelHints OfVmcoreInfo(ReadOnlySpan<byte> content)
    {
        ulong? table = null, physical = null;
        bool? five = null;
        foreach (string line in Encoding.ASCII.GetString(content).Split('\n'))
        {
            string[] parts = line.Split('=', 2);
            if (parts is not [string key, string value])
            {
                continue;
            }

            switch (key)
            {
                case "SYMBOL(swapper_pg_dir)" or "SYMBOL(init_top_pgt)" when ulong.TryParse(value, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong address):
                    table = address;
                    break;
                case "NUMBER(phys_base)" when long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long offset):
                    physical = unchecked((ulong)offset);
                    break;
                case "NUMBER(pgtable_l5_enabled)":
                    five = value == "1";
                    break;
            }
        }

        return table is ulong top && physical is ulong at ? new KernelHints(new PhysicalAddress(unchecked(top - TextMapping + at)), five) : default;
    }
}
