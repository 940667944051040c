namespace KaslrMt.Hypervisors;

/// <summary>What a guest's free pages hold.</summary>
public enum FreePages
{
    /// <summary>What they held when they were freed, as the kernel comes.</summary>
    Kept,

    /// <summary>Zeros: the guest's kernel clears pages and objects when they are freed, and all free memory when it boots.</summary>
    Zeroed,
}
