using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Bench;

/// <summary>The peer: a guest's memory as drgn's QEMU support reads it: for every page, the monitor is asked where it is, then the page is read.</summary>
internal sealed class PageByPageMemory(QmpClient monitor, int process, IReadOnlyList<PhysicalRange> ranges) : IGuestMemory
{
    private const ulong PageSize = 4096;

    public IReadOnlyList<PhysicalRange> Ranges => ranges;

    public void Read(PhysicalAddress address, Span<byte> destination)
    {
        if (!TryRead(address, destination))
        {
            throw new InvalidOperationException("not RAM");
        }
    }

    public bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        ulong length = (ulong)destination.Length;
        if (!ranges.Any(range => range.Contains(address, length)))
        {
            return false;
        }

        while (!destination.IsEmpty)
        {
            int part = (int)Math.Min((ulong)destination.Length, PageSize - (address.Value % PageSize));
            string answer = monitor.HumanAsync(string.Create(CultureInfo.InvariantCulture, $"gpa2hva 0x{address.Value:x}")).GetAwaiter().GetResult();
            ulong host = ulong.Parse(answer.AsSpan(answer.LastIndexOf("0x", StringComparison.Ordinal) + 2).Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
            Copy(host, destination[..part]);
            destination = destination[part..];
            address += (ulong)part;
        }

        return true;
    }

    public void Dispose()
    {
        // The monitor is the caller's.
    }

    private unsafe void Copy(ulong host, Span<byte> destination)
    {
        fixed (byte* target = destination)
        {
            Linux.IoVec local = new() { Base = (nuint)target, Length = (nuint)destination.Length };
            Linux.IoVec remote = new() { Base = (nuint)host, Length = (nuint)destination.Length };
            if (Linux.ProcessVmReadv(process, &local, 1, &remote, 1, 0) != destination.Length)
            {
                throw new InvalidOperationException("QEMU's memory cannot be read");
            }
        }
    }
}
