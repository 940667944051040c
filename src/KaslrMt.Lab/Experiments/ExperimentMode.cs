namespace KaslrMt.Lab.Experiments;

/// <summary>Who chooses the layout of an experiment's guests.</summary>
internal enum ExperimentMode
{
    /// <summary>Nobody: <c>nokaslr</c>, the kernel booted by QEMU as it comes. What sharing could be at best before this project.</summary>
    Off,

    /// <summary>The guest's kernel, by its own KASLR, booted by QEMU as it comes.</summary>
    Stock,

    /// <summary>This project: one tenant's key for all guests.</summary>
    KaslrMt,
}

/// <summary>The modes' names.</summary>
internal static class ExperimentModes
{
    /// <summary>The name in reports, options and file names.</summary>
    public static string Name(this ExperimentMode mode) => mode switch
    {
        ExperimentMode.Off => "off",
        ExperimentMode.Stock => "stock",
        ExperimentMode.KaslrMt => "kaslr-mt",
        _ => throw new ArgumentOutOfRangeException(nameof(mode)),
    };
}
