using System.Runtime.InteropServices;

namespace KaslrMt;

/// <summary>
/// Page-aligned, zero-filled private memory outside the managed heap, for kernel images of tens to hundreds of MiB: it is neither zeroed
/// twice nor moved by the garbage collector, and it takes huge pages where the host allows them.
/// </summary>
/// <remarks>
/// <para>The memory is left out of core dumps, because a relocated image tells a tenant's layout.</para>
/// <para>
/// Keep it in a <c>using</c>. It has no finalizer on purpose: a finalizer could unmap the memory below a live <see cref="Span"/>, which
/// nothing can catch; a forgotten buffer is only a leak. A span taken before <see cref="SafeHandle.Dispose()"/> must not be used after it.
/// </para>
/// </remarks>
public sealed unsafe class NativeBuffer : SafeHandle
{
    /// <summary>The most a buffer holds: 1 GiB, the size of the kernel's own mapping (<c>KERNEL_IMAGE_SIZE</c>).</summary>
    public const int MaxLength = 1 << 30;

    // Below two huge pages the advice can only waste memory.
    private const int HugePageThreshold = 4 << 20;

    private readonly int _length;

    /// <summary>Maps <paramref name="length"/> bytes, all zero. The host commits a page when it is first written.</summary>
    /// <param name="length">Bytes, 1 to <see cref="MaxLength"/>.</param>
    /// <exception cref="KaslrMtException"><see cref="CoreErrors.BufferLength"/> or <see cref="CoreErrors.OutOfMemory"/>.</exception>
    public NativeBuffer(long length)
        : base(LinuxMemory.MapFailed, ownsHandle: true)
    {
        // See the remarks: a leak is safer than memory that goes away below a span.
#pragma warning disable CA1816
        GC.SuppressFinalize(this);
#pragma warning restore CA1816
        if (length is <= 0 or > MaxLength)
        {
            throw new KaslrMtException(
                CoreErrors.BufferLength, $"a native buffer of {length} bytes was asked for, allowed are 1 to {MaxLength}");
        }

        nint address = LinuxMemory.Map(
            0, (nuint)length, LinuxMemory.ProtRead | LinuxMemory.ProtWrite, LinuxMemory.MapPrivate | LinuxMemory.MapAnonymous, -1, 0);
        if (address == LinuxMemory.MapFailed)
        {
            throw new KaslrMtException(
                CoreErrors.OutOfMemory,
                $"the host refused {length} bytes of memory ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})",
                "free memory, or raise the memory limit (ulimit -v, cgroup)");
        }

        SetHandle(address);
        _length = (int)length;

        // Both are advice: a kernel without huge pages or without the dump flag says no, and the buffer is as good without.
        _ = LinuxMemory.Advise(address, (nuint)length, LinuxMemory.AdviseDoNotDump);
        if (length >= HugePageThreshold)
        {
            _ = LinuxMemory.Advise(address, (nuint)length, LinuxMemory.AdviseHugePage);
        }
    }

    /// <summary>Bytes held, as asked for. The mapping ends at the page boundary behind them.</summary>
    public int Length => _length;

    /// <inheritdoc/>
    public override bool IsInvalid => handle == LinuxMemory.MapFailed;

    /// <summary>The bytes, <see cref="Length"/> of them. Valid until <see cref="SafeHandle.Dispose()"/>.</summary>
    /// <exception cref="ObjectDisposedException">The buffer was disposed.</exception>
    public Span<byte> Span
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed || IsInvalid, this);
            return new Span<byte>((void*)handle, _length);
        }
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => LinuxMemory.Unmap(handle, (nuint)_length) == 0;
}
