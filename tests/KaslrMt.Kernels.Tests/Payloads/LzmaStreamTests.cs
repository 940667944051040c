using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace KaslrMt.Kernels.Tests.Payloads;

public sealed class LzmaStreamTests
{
    [Fact]
    public void The_struct_lies_in_memory_as_in_liblzmas_header()
    {
        // offsetof and sizeof of lzma_stream, from lzma/base.h compiled by gcc for x86-64.
        Assert.Equal(136, Unsafe.SizeOf<LzmaStream>());
        Assert.Equal(0, Offset(nameof(LzmaStream.NextIn)));
        Assert.Equal(8, Offset(nameof(LzmaStream.AvailableIn)));
        Assert.Equal(16, Offset(nameof(LzmaStream.TotalIn)));
        Assert.Equal(24, Offset(nameof(LzmaStream.NextOut)));
        Assert.Equal(32, Offset(nameof(LzmaStream.AvailableOut)));
        Assert.Equal(40, Offset(nameof(LzmaStream.TotalOut)));
        Assert.Equal(48, Offset(nameof(LzmaStream.Allocator)));
        Assert.Equal(56, Offset(nameof(LzmaStream.Internal)));
    }

    private static int Offset(string field) => (int)Marshal.OffsetOf<LzmaStream>(field);
}
