using System.Buffers.Binary;
using System.Text;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>The gate of one VM, seen from the host: tells when the guest waits there, what firmware said, and lets the guest go on into a kernel.</summary>
/// <remarks>Guest RAM is written while the VM runs, and the guest may write it too: it can harm itself alone. Not for use by two threads at once.</remarks>
public sealed class VmGate : IDisposable
{
    private const int CopySize = 1 << 20;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(3);
    private static readonly TimeSpan LaterInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(5);

    private readonly IGuestRamAccess _memory;

    internal VmGate(IGuestRamAccess memory) => _memory = memory;

    /// <summary>Gets whether the guest waits at this program's gate.</summary>
    /// <exception cref="KaslrMtException">The VM has ended, or the host refuses.</exception>
    public bool IsWaiting => ReadSession() != 0;

    /// <summary>Waits until the guest waits at the gate.</summary>
    /// <param name="patience">How long firmware may take; infinite for ever.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.GateSilent"/>; the VM has ended, or the host refuses.</exception>
    public async Task WaitAsync(TimeSpan patience, CancellationToken cancellationToken)
    {
        for (long start = Environment.TickCount64; !IsWaiting;)
        {
            double waited = Environment.TickCount64 - start;
            if (patience != Timeout.InfiniteTimeSpan && waited > patience.TotalMilliseconds)
            {
                throw new KaslrMtException(
                    HypervisorErrors.GateSilent,
                    $"the guest did not come to its gate within {patience.TotalSeconds:0} s",
                    "its firmware may not boot what -kernel names (OVMF does not), or the guest is paused");
            }

            await Task.Delay(waited < Soon.TotalMilliseconds ? Interval : LaterInterval, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Reads what firmware told the waiting guest.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.GateWords"/>; the VM has ended, or the host refuses.</exception>
    public FirmwareWords ReadWords()
    {
        // Before the words: those of a later boot go with no session, and a kernel for them with no guest.
        uint session = ReadSession();
        FirmwareWords.Require(session != 0, "the guest does not wait there");
        return FirmwareWords.Read(_memory) with { Session = session };
    }

    /// <summary>Writes a kernel into the waiting guest, and lets it go on there.</summary>
    /// <param name="kernel">The kernel; it is moved to the layout's virtual base.</param>
    /// <param name="layout">Where its regions lie, planned for <see cref="FirmwareWords.ToMemoryMap"/>.</param>
    /// <param name="modules">How the kernel places modules.</param>
    /// <param name="commandLine">The kernel's command line without what firmware adds.</param>
    /// <param name="initrd">The initrd, read from its beginning; null for none.</param>
    /// <param name="initrdRange">Where it goes (<see cref="FirmwareWords.PlaceInitrd"/>); not null with an initrd.</param>
    /// <param name="words">What firmware said. If the guest was reset since they were read, it goes on waiting.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.SettingInvalid"/>: the command line is too long; <see cref="HypervisorErrors.FileUnreadable"/>: the initrd shrinks; KMT2507; the
    /// guest's map names memory that is none; the VM has ended. The guest still waits then.
    /// </exception>
    public void Open(
        PreparedKernel kernel, KernelLayout layout, ModuleAddresses modules, string commandLine, SafeFileHandle? initrd, PhysicalRange? initrdRange, FirmwareWords words)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(words);
        byte[] line = Line(commandLine, words);
        List<GateRange> ranges = [];
        LoadedKernel loaded = LoadedKernel.Write(kernel, layout, modules, (bytes, address) => _memory.Write(address, bytes));
        foreach (LoadedSegment segment in loaded.Segments)
        {
            Add(ranges, segment);
        }

        if (initrd is not null && initrdRange is PhysicalRange range)
        {
            Copy(initrd, range);
            ranges.Add(new GateRange(range.Start.Value, range.Length, GateRangeKind.Touched));
        }

        _memory.Write(new PhysicalAddress(GateProtocol.CommandLine), line);
        _memory.Write(
            new PhysicalAddress(GateProtocol.ZeroPage), loaded.BuildZeroPage(new BootParameters(GateProtocol.CommandLine, initrdRange, words.Rsdp, words.MemoryMap)));
        _memory.Write(new PhysicalAddress(GateProtocol.PageTables), loaded.BuildPageTables(GateProtocol.PageTables));
        _memory.Write(new PhysicalAddress(GateProtocol.Ranges), GateRange.ToBytes(ranges));
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(word, loaded.Entry.Value);
        _memory.Write(new PhysicalAddress(GateProtocol.Mailbox + GateProtocol.Entry), word);
        BinaryPrimitives.WriteUInt32LittleEndian(word, words.Session);
        _memory.Write(new PhysicalAddress(GateProtocol.Mailbox + GateProtocol.Go), word[..sizeof(uint)]);
    }

    /// <summary>Lets go of the VM's memory; the VM goes on.</summary>
    public void Dispose() => _memory.Dispose();

    // The session of the guest that waits; 0 where none does.
    private uint ReadSession()
    {
        Span<byte> words = stackalloc byte[GateProtocol.Session + sizeof(uint)];
        if (!_memory.TryRead(new PhysicalAddress(GateProtocol.Mailbox), words)
            || BinaryPrimitives.ReadUInt64LittleEndian(words) != GateProtocol.Magic
            || BinaryPrimitives.ReadUInt32LittleEndian(words[GateProtocol.State..]) != GateProtocol.Waiting)
        {
            return 0;
        }

        uint session = BinaryPrimitives.ReadUInt32LittleEndian(words[GateProtocol.Session..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(words[GateProtocol.Go..]) == session)
        {
            return 0;
        }

        // The code tells a gate from words that a guest put there; a guest that copies the code too waits for a kernel, and gets one.
        Span<byte> code = stackalloc byte[4096];
        return _memory.TryRead(new PhysicalAddress(GateProtocol.Code), code) && code.SequenceEqual(GateFile.Code) ? session : 0;
    }

    // In front: what follows a "--" on a kernel command line is init's.
    private static byte[] Line(string commandLine, FirmwareWords words)
    {
        string whole = words.CommandLine.Length == 0 ? commandLine : $"{words.CommandLine} {commandLine}";
        byte[] line = Encoding.UTF8.GetBytes(whole + "\0");
        return line.Length <= MachineCheck.LongestCommandLine + 1 ? line : throw new KaslrMtException(
            HypervisorErrors.SettingInvalid,
            $"the kernel command line has {line.Length - 1} bytes with what firmware adds, and a kernel takes {MachineCheck.LongestCommandLine}: it would not boot",
            "shorten the command line");
    }

    private static void Add(List<GateRange> ranges, LoadedSegment segment)
    {
        if (segment.FileSize > 0)
        {
            ranges.Add(new GateRange(segment.Start.Value, segment.FileSize, GateRangeKind.Rewritten));
        }

        if (segment.MemorySize > segment.FileSize)
        {
            ranges.Add(new GateRange(segment.Start.Value + segment.FileSize, segment.MemorySize - segment.FileSize, GateRangeKind.Cleared));
        }
    }

    private void Copy(SafeFileHandle file, PhysicalRange range)
    {
        var buffer = new byte[(int)Math.Min(CopySize, range.Length)];
        for (ulong done = 0; done < range.Length;)
        {
            int read = RandomAccess.Read(file, buffer.AsSpan(0, (int)Math.Min((ulong)buffer.Length, range.Length - done)), (long)done);
            if (read == 0)
            {
                throw new KaslrMtException(HypervisorErrors.FileUnreadable, $"the initrd shrank from {range.Length} to {done} bytes while it was read", "start the VM again");
            }

            _memory.Write(range.Start + done, buffer.AsSpan(0, read));
            done += (ulong)read;
        }
    }
}
