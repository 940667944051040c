using KaslrMt.Tenants;

namespace KaslrMt.TestSupport;

/// <summary>The key encryption key of a test's table.</summary>
internal static class TableKeys
{
    /// <summary>The file of a test's own that holds it, or will.</summary>
    internal static KeyRingFile Keys(this Scratch scratch) => new(scratch.At("kek"), MayCreate: true);
}
