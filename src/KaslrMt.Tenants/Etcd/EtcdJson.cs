using System.Text.Json;
using System.Text.Json.Serialization;
using KaslrMt.Layout;

namespace KaslrMt.Tenants.Etcd;

/// <summary>A seal as etcd holds it, with the version of the records beside it.</summary>
internal sealed record EtcdSeal(int Schema, Guid StoreId, int KekVersion, byte[] FingerprintKey)
{
    /// <summary>The version that this program writes: 2 has the hosts' lists of VMs.</summary>
    internal const int NewestSchema = 2;

    internal StoreSeal Seal => new(StoreId, KekVersion, FingerprintKey);

    internal static EtcdSeal Of(StoreSeal seal) => new(NewestSchema, seal.StoreId, seal.KekVersion, seal.FingerprintKey);
}

/// <summary>The records as JSON in etcd's values.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UseStringEnumConverter = true,
    RespectRequiredConstructorParameters = true,
    RespectNullableAnnotations = true,
    Converters = [typeof(PolicyConverter)])]
[JsonSerializable(typeof(TenantRecord))]
[JsonSerializable(typeof(VmRecord))]
[JsonSerializable(typeof(HostRecord))]
[JsonSerializable(typeof(AuditEntry))]
[JsonSerializable(typeof(SealedKey))]
[JsonSerializable(typeof(EtcdSeal))]
internal sealed partial class EtcdJson : JsonSerializerContext;

/// <summary>A policy as its six digits.</summary>
internal sealed class PolicyConverter : JsonConverter<Policy>
{
    public override Policy Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => Policy.Parse(reader.GetString());

    public override void Write(Utf8JsonWriter writer, Policy value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
