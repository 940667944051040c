using System.Text.Json.Serialization;
using KaslrMt.Cli.Sharing;
using KaslrMt.Lab.Demo;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Experiments.Modules;

namespace KaslrMt.Lab;

/// <summary>Writes and reads the laboratory's results without reflection.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(SharingReport))]
[JsonSerializable(typeof(ModuleReport))]
[JsonSerializable(typeof(RegionsReport))]
[JsonSerializable(typeof(CurveReport))]
[JsonSerializable(typeof(DemoReport))]
internal sealed partial class LabJson : JsonSerializerContext;
