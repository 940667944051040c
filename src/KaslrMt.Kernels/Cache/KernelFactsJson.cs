using System.Text.Json.Serialization;

namespace KaslrMt.Kernels;

/// <summary>Writes and reads <see cref="KernelFacts"/> without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(KernelFacts))]
internal sealed partial class KernelFactsJson : JsonSerializerContext;
