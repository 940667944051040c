namespace KaslrMt.Kernels.Tests.Payloads;

public sealed class RealKernelPayloadTests
{
    public static TheoryData<string> Kernels => new(TestKernels.Names());

    [Fact]
    public void Both_kernels_that_every_test_run_has_are_there() =>
        Assert.Subset(TestKernels.Names().ToHashSet(), new HashSet<string> { "6.1-cloud", "6.12-cloud" });

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Every_kernel_unpacks_to_what_the_reference_tool_unpacks(string kernel)
    {
        byte[] payload = RealKernel.ReadPayload(kernel);
        PayloadFormat format = Assert.NotNull(Payload.Identify(payload));
        byte[] expected = ReferenceTool.Unpack(format, payload);

        using NativeBuffer unpacked = Payload.Decompress(payload);

        Assert.Equal(Payload.DeclaredLength(payload, format), unpacked.Length);
        Assert.True(unpacked.Span.StartsWith("\u007fELF"u8));
        Assert.True(unpacked.Span.SequenceEqual(expected));
    }
}
