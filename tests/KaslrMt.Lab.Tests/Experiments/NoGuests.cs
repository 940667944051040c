using KaslrMt.Hypervisors;
using KaslrMt.Cli.Output;
using KaslrMt.Lab.Experiments;
using KaslrMt.Vms;

namespace KaslrMt.Lab.Tests.Experiments;

/// <summary>Experiments of which nothing could boot: what a test expects of one must come from what its folder holds.</summary>
internal static class NoGuests
{
    public static ExperimentSettings Settings { get; } = new()
    {
        Experiment = "none",
        Guest = "none",
        Kernel = "none",
        KernelDigest = "00",
        InitrdDigest = "11",
        CommandLine = "",
        Memory = 1 << 28,
        Cpus = 1,
        Accelerator = "tcg",
        Guests = 2,
        Variants = ["none"],
    };

    public static GuestRecipe Recipe { get; } = new() { Name = "none", Kernel = "/none", Initrd = "/none", CommandLine = "", Memory = new ByteSize(1 << 28) };

    public static Progress Silent => Progress.To(TextWriter.Null);

    /// <summary>A host with a runtime directory of its own.</summary>
    public static ExperimentHost Host(Scratch scratch)
    {
        RuntimeDirectory runtime = RuntimeDirectory.Open(scratch.At("run"));
        return new ExperimentHost(runtime, new PreparedKernels(null), AcceleratorChoice.Decide(Accelerator.Tcg), TimeSpan.FromSeconds(1));
    }
}
