namespace KaslrMt.BootTests.Running;

/// <summary>Tests that measure with the host's KSM, of which there is one: they take turns.</summary>
internal static class HostKsm
{
    internal const string Name = "the host's KSM";
}
