using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary><c>lzma_stream</c> of <c>lzma/base.h</c>: 136 bytes on x86-64. All zero is <c>LZMA_STREAM_INIT</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LzmaStream
{
    internal byte* NextIn;
    internal nuint AvailableIn;
    internal ulong TotalIn;
    internal byte* NextOut;
    internal nuint AvailableOut;
    internal ulong TotalOut;
    internal nint Allocator;
    internal nint Internal;
    private fixed ulong _reservedPointers[4];
    private fixed ulong _seekPositionAndReservedIntegers[4];
    private fixed uint _reservedEnums[2];
}
