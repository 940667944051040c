namespace KaslrMt.Guests;

/// <summary>Reads kernel memory: <see cref="GuestKernel.TryRead"/>, or a test's.</summary>
internal delegate bool KernelReader(VirtualAddress address, Span<byte> destination);
