namespace KaslrMt.Kernels;

/// <summary>The numbered errors of native memory (KMT2130 and following).</summary>
public static class MemoryErrors
{
    /// <summary>A buffer of zero bytes or of more than <see cref="NativeBuffer.MaxLength"/> was asked for.</summary>
    public static readonly ErrorCode BufferLength = new(2130, ErrorCategory.Memory);

    /// <summary>The host gave no memory: <c>mmap(2)</c> failed.</summary>
    public static readonly ErrorCode OutOfMemory = new(2131, ErrorCategory.Host);
}
