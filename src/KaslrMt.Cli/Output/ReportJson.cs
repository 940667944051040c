using System.Text.Json.Serialization;
using KaslrMt.Cli.Commands;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Sharing;
using KaslrMt.Cli.Tables;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Output;

/// <summary>Everything the command prints as JSON, written without reflection.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(LayoutReport))]
[JsonSerializable(typeof(KernelReport))]
[JsonSerializable(typeof(IReadOnlyList<VmReport>))]
[JsonSerializable(typeof(VmReport))]
[JsonSerializable(typeof(VerifyReport))]
[JsonSerializable(typeof(IReadOnlyList<AuditReport>))]
[JsonSerializable(typeof(IReadOnlyList<SymbolReport>))]
[JsonSerializable(typeof(IReadOnlyList<VerifyReport>))]
[JsonSerializable(typeof(ModulesReport))]
[JsonSerializable(typeof(InspectReport))]
[JsonSerializable(typeof(DoctorReport))]
[JsonSerializable(typeof(TenantReport))]
[JsonSerializable(typeof(IReadOnlyList<TenantReport>))]
[JsonSerializable(typeof(IReadOnlyList<TableVmReport>))]
[JsonSerializable(typeof(IReadOnlyList<HostReport>))]
[JsonSerializable(typeof(EvictionReport))]
[JsonSerializable(typeof(StoreReport))]
[JsonSerializable(typeof(BackupReport))]
[JsonSerializable(typeof(RemovalReport))]
[JsonSerializable(typeof(MoveReport))]
[JsonSerializable(typeof(KsmReport))]
[JsonSerializable(typeof(SharingReport))]
internal sealed partial class ReportJson : JsonSerializerContext;
