using KaslrMt.Layout;

namespace KaslrMt.Kernels;

/// <summary>A bootable image that was written.</summary>
/// <param name="Kernel">What is known of its kernel.</param>
/// <param name="Layout">Where its regions lie; secret.</param>
/// <param name="FromCache">Whether the prepared kernel was found in the cache.</param>
public sealed record BootImage(KernelFacts Kernel, KernelLayout Layout, bool FromCache);
