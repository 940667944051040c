using System.Buffers.Binary;
using KaslrMt.Guests;
using KaslrMt.Kernels;

namespace KaslrMt.BootTests.Audit;

/// <summary>Plants one fault after the other in a live guest, checks that an audit finds it and nothing else, and takes it back.</summary>
internal sealed class Planted(AuditSubject subject, GuestWriter writer)
{
    private const int PageSize = 4096;

    private readonly GuestKernel _kernel = subject.Kernel;

    /// <summary>Code changed at a symbol; the finding lies in that symbol.</summary>
    internal void Code(string symbol, ulong offset, string check, string where, byte[] bytes)
    {
        VirtualAddress address = _kernel.Symbol(symbol)!.Value + offset;
        var original = new byte[bytes.Length];
        Assert.True(_kernel.TryRead(address, original));
        if (bytes.Length == 1)
        {
            bytes = [(byte)(original[0] ^ bytes[0])];
        }

        writer.Write(_kernel, address, bytes);
        AuditFinding finding = Only(check);
        writer.Write(_kernel, address, original);
        Assert.StartsWith(where, finding.Where, StringComparison.Ordinal);
    }

    /// <summary>Code changed at a place where the kernel patches itself.</summary>
    internal void Code(VirtualAddress address, string check, byte[] bytes)
    {
        var original = new byte[bytes.Length];
        Assert.True(_kernel.TryRead(address, original));
        writer.Write(_kernel, address, bytes);
        AuditFinding finding = Only(check);
        writer.Write(_kernel, address, original);
        Assert.True(finding.Address!.Value - address < (ulong)bytes.Length, "found elsewhere");
    }

    /// <summary>Every entry that maps an address changed.</summary>
    internal void Entry(VirtualAddress address, Func<ulong, bool, ulong> change, string check, VirtualAddress expected)
    {
        List<(PhysicalAddress Place, ulong Entry)> entries = GuestWriter.Entries(_kernel, address);
        for (int i = 0; i < entries.Count; i++)
        {
            writer.WriteWord(entries[i].Place, change(entries[i].Entry, i == entries.Count - 1));
        }

        AuditFinding finding = Only(check);
        foreach ((PhysicalAddress place, ulong entry) in entries)
        {
            writer.WriteWord(place, entry);
        }

        Assert.True(_kernel.Tables.TryTranslate(expected, out Mapping mapping));
        Assert.True(mapping.Address == finding.Address, "found elsewhere");
    }

    /// <summary>A guard page behind an area of the kernel's, mapped.</summary>
    internal void Guard()
    {
        foreach (VirtualArea area in VirtualAreas.Read(_kernel))
        {
            VirtualAddress guard = area.End - PageSize;
            List<(PhysicalAddress Place, ulong Entry)> entries = GuestWriter.Entries(_kernel, guard);
            List<(PhysicalAddress Place, ulong Entry)> before = GuestWriter.Entries(_kernel, guard - PageSize);
            if (entries.Count == 4 && before.Count == 4 && entries[3].Entry == 0 && (before[3].Entry & 1) != 0 && area.Flags is ulong flags && (flags & 0x40) == 0)
            {
                writer.WriteWord(entries[3].Place, before[3].Entry);
                AuditFinding finding = Only("guard");
                writer.WriteWord(entries[3].Place, 0);
                Assert.True(finding.Address == guard, "found elsewhere");
                return;
            }
        }

        Assert.Fail("no area has a guard page");
    }

    /// <summary>Bytes in a free page.</summary>
    internal void Secret(ReadOnlySpan<byte> secret, string what)
    {
        PhysicalAddress page = FreePage();
        writer.Write(page + 0x7f3, secret);
        AuditFinding finding = Only("key");
        writer.Write(page + 0x7f3, new byte[secret.Length]);
        Assert.Equal($"page {page}", finding.Where);
        Assert.StartsWith(what, finding.What, StringComparison.Ordinal);
        Assert.Contains("offset 0x7f3", finding.What, StringComparison.Ordinal);
    }

    /// <summary>A page of zeros that lies among pages of zeros: nobody uses it.</summary>
    internal PhysicalAddress FreePage()
    {
        var block = new byte[64 * PageSize];
        PhysicalRange ram = subject.Memory.Ranges.MaxBy(range => range.Length);
        for (ulong at = ram.Length / 2 & ~(ulong)(block.Length - 1); at + (ulong)block.Length < ram.Length; at += (ulong)block.Length)
        {
            subject.Memory.Read(ram.Start + at, block);
            if (block.AsSpan().IndexOfAnyExcept((byte)0) < 0)
            {
                return ram.Start + at + (32 * PageSize);
            }
        }

        throw new InvalidOperationException("the guest has no free page");
    }

    internal VirtualAddress DirectMap(PhysicalAddress address)
    {
        Assert.True(_kernel.TryReadWord(_kernel.Symbol("page_offset_base")!.Value, out ulong physmap));
        return new VirtualAddress(physmap + address.Value);
    }

    /// <summary>A place in a loaded module, where no tracer of the kernel's is.</summary>
    internal VirtualAddress ModuleAddress() => GuestModules.Read(_kernel).InLoadOrder[0].Address!.Value + 0x40;

    /// <summary>The trace site of a function: behind its endbr64, if it has one.</summary>
    internal VirtualAddress TraceSite(string function)
    {
        VirtualAddress start = _kernel.Symbol(function)!.Value;
        Span<byte> bytes = stackalloc byte[16];
        Assert.True(_kernel.TryRead(start, bytes));
        int at = bytes.IndexOf((ReadOnlySpan<byte>)[0x0f, 0x1f, 0x44, 0x00, 0x00]);
        Assert.InRange(at, 0, 11);
        return start + (ulong)at;
    }

    /// <summary>A jump label of five bytes, in kernel text.</summary>
    internal VirtualAddress JumpLabel()
    {
        ulong slide = _kernel.VirtualBase - subject.Image!.Geometry.LinkBase;
        subject.Image.MoveTo(_kernel.VirtualBase);
        Span<byte> bytes = stackalloc byte[5];
        foreach ((ulong code, _) in new PatchTables(subject.Image, slide).JumpLabels)
        {
            if (code < _kernel.Symbol("_etext")!.Value.Value && _kernel.TryRead(new VirtualAddress(code), bytes) && bytes.SequenceEqual((ReadOnlySpan<byte>)[0x0f, 0x1f, 0x44, 0x00, 0x00]))
            {
                return new VirtualAddress(code);
            }
        }

        throw new InvalidOperationException("the kernel has no jump label");
    }

    /// <summary>A call, or a jump, from one place to another.</summary>
    internal byte[] Call(VirtualAddress from, VirtualAddress to, byte opcode = 0xe8)
    {
        var bytes = new byte[5];
        bytes[0] = opcode;
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(1), (int)(long)(to - from - 5));
        return bytes;
    }

    private AuditFinding Only(string check)
    {
        IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(AuditTests.Fresh(subject), AuditCheckRegistry.BuiltIn);
        Assert.All(outcomes, outcome => Assert.Null(outcome.NotDone));
        AuditFinding[] findings = [.. outcomes.SelectMany(outcome => outcome.Findings)];
        Assert.True(findings.Length == 1 && findings[0].Check == check, $"expected one finding of {check}, found {findings.Length}:\n{AuditTests.Text(outcomes)}");
        return findings[0];
    }
}
