using System.Text.Json;
using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Vms;

/// <summary>What a running VM was given, kept in its private folder (0600 in 0700) for <c>verify</c>. A secret of that VM.</summary>
internal sealed record IntendedLayout
{
    private const string FileName = "layout";
    private const int LargestFile = 64 << 10;

    /// <summary>The policy's bitmap.</summary>
    public required string Policy { get; init; }

    /// <summary>Whether it is the link layout that <c>nokaslr</c> asks for.</summary>
    public required bool Link { get; init; }

    /// <summary>The six regions.</summary>
    public required IReadOnlyList<Row> Regions { get; init; }

    /// <summary>What is known of the kernel.</summary>
    public required KernelFacts Kernel { get; init; }

    /// <summary>What a layout becomes.</summary>
    public static IntendedLayout Of(KernelLayout layout, KernelFacts kernel) => new()
    {
        Policy = layout.Policy.ToString(),
        Link = layout.IsLink,
        Regions = [.. layout.Regions.Select(region => new Row(region.Region, region.Scope, region.Base, region.Slot, region.Slots))],
        Kernel = kernel,
    };

    /// <summary>Keeps it in a VM's folder.</summary>
    public void WriteTo(VmFolder folder)
    {
        using WholeFile file = WholeFile.Create(Path.Combine(folder.Path, FileName));
        file.Write(JsonSerializer.SerializeToUtf8Bytes(this, IntendedLayoutJson.Default.IntendedLayout), 0);
        file.Commit();
    }

    /// <summary>Reads it from a VM's folder; null where there is none: the VM is starting, or boots with its own KASLR.</summary>
    public static IntendedLayout? ReadFrom(string folder)
    {
        try
        {
            var file = new FileInfo(Path.Combine(folder, FileName));
            return file.Exists && file.Length <= LargestFile
                ? JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), IntendedLayoutJson.Default.IntendedLayout)
                : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <summary>What the tenant key gave, for a boot without it; null for the link layout, which needs no key.</summary>
    public DerivedSlots? Draws() => Link
        ? null
        : DerivedSlots.Of(Regions.Where(row => row.Scope == Scope.PerTenant).Select(row => new DerivedSlots.Draw(row.Region, row.Slot, row.Slots)));

    /// <summary>Shows nothing: the bases are secrets of a running VM.</summary>
    public override string ToString() => nameof(IntendedLayout);

    /// <summary>One region.</summary>
    internal readonly record struct Row(Region Region, Scope Scope, ulong Base, ulong Slot, ulong Slots)
    {
        /// <summary>Shows no base.</summary>
        public override string ToString() => Region.Name();
    }
}

/// <summary>Writes and reads <see cref="IntendedLayout"/> without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(IntendedLayout))]
internal sealed partial class IntendedLayoutJson : JsonSerializerContext;
