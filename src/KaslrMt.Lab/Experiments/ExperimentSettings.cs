using System.Text.Json.Serialization;

namespace KaslrMt.Lab.Experiments;

/// <summary>What an experiment measures: results of other settings do not mix with its own.</summary>
internal sealed record ExperimentSettings
{
    /// <summary><c>regions</c>, <c>curve</c>, …</summary>
    public required string Experiment { get; init; }

    /// <summary>The kind of guest.</summary>
    public required string Guest { get; init; }

    /// <summary>The kernel's name in the cache.</summary>
    public required string Kernel { get; init; }

    /// <summary>SHA-256 of the kernel's file.</summary>
    public required string KernelDigest { get; init; }

    /// <summary>SHA-256 of the initrd.</summary>
    public required string InitrdDigest { get; init; }

    /// <summary>The disk's size and time; null without one.</summary>
    public string? Disk { get; init; }

    /// <summary>The guests' command line.</summary>
    public required string CommandLine { get; init; }

    /// <summary>The guests' RAM in bytes.</summary>
    public required ulong Memory { get; init; }

    /// <summary>The guests' virtual CPUs.</summary>
    public required int Cpus { get; init; }

    /// <summary><c>tcg</c> or <c>kvm</c>.</summary>
    public required string Accelerator { get; init; }

    /// <summary>Guests for each policy or mode.</summary>
    public required int Guests { get; init; }

    /// <summary>The policies or modes, in their order.</summary>
    public required IReadOnlyList<string> Variants { get; init; }

    /// <summary>Further settings, such as whether the host's KSM is measured.</summary>
    public string? Extra { get; init; }

    /// <summary>What a recipe and the command's options make.</summary>
    public static ExperimentSettings Of(
        string experiment, GuestRecipe recipe, string kernel, ExperimentHost host, int guests, IReadOnlyList<string> variants, string? extra = null) => new()
        {
            Experiment = experiment,
            Guest = recipe.Name,
            Kernel = kernel,
            KernelDigest = Digest(recipe.Kernel),
            InitrdDigest = Digest(recipe.Initrd),
            Disk = recipe.Disk is { } disk ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{new FileInfo(disk).Length} {File.GetLastWriteTimeUtc(disk):O}") : null,
            CommandLine = recipe.CommandLine,
            Memory = recipe.Memory.Bytes,
            Cpus = recipe.Cpus,
            Accelerator = host.Accelerator.Argument,
            Guests = guests,
            Variants = variants,
            Extra = extra,
        };

    private static string Digest(string file)
    {
        using FileStream stream = File.OpenRead(file);
        return Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(stream));
    }
}

/// <summary>Writes and reads an experiment's files without reflection.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ExperimentSettings))]
[JsonSerializable(typeof(CurveReport.Mode))]
[JsonSerializable(typeof(Modules.ModuleBoot))]
internal sealed partial class ExperimentJson : JsonSerializerContext;
