using KaslrMt.Guests;

namespace KaslrMt.Hypervisors;

/// <summary>A running guest opened for reading. Disposing lets the guest go on, if it was made to stand still.</summary>
public interface IGuestInspection : IAsyncDisposable
{
    /// <summary>Gets the guest's RAM.</summary>
    IGuestMemory Memory { get; }

    /// <summary>Gets what a processor tells about the kernel's page tables; nothing where no monitor answers.</summary>
    KernelHints Hints { get; }
}
