namespace KaslrMt.Kernels.Tests.Payloads;

/// <summary>A slice of a real kernel's code, packed in every format with the options of the kernel's build.</summary>
public sealed class SmallPayloads
{
    private const int SliceOffset = 6 << 20;
    private const int SliceLength = 96 << 10;

    private readonly Dictionary<PayloadFormat, byte[]> _payloads;

    public SmallPayloads()
    {
        using NativeBuffer kernel = Payload.Decompress(RealKernel.ReadPayload("6.1-cloud"));
        Slice = kernel.Span.Slice(SliceOffset, SliceLength).ToArray();
        _payloads = Enum.GetValues<PayloadFormat>()
            .ToDictionary(format => format, format => ReferenceTool.PackAsKernelBuild(format, Slice));
    }

    /// <summary>What every payload unpacks to.</summary>
    public byte[] Slice { get; }

    /// <summary>A fresh copy of the payload in that format.</summary>
    public byte[] this[PayloadFormat format] => (byte[])_payloads[format].Clone();
}
