using KaslrMt.Layout;

namespace KaslrMt.Tenants.Tests.Rules;

/// <summary>Small pieces of a table: tenant acme with its VM v1 on host h-a.</summary>
internal static class Slices
{
    internal static readonly DateTimeOffset Then = DateTimeOffset.UnixEpoch.AddDays(1);
    internal static readonly DateTimeOffset Now = DateTimeOffset.UnixEpoch.AddDays(2);
    internal static readonly Guid Started = new(1, 0, 0, new byte[8]);
    internal static readonly Guid Other = new(2, 0, 0, new byte[8]);
    internal static readonly ProcessMark Process = new(7, 1, "boot-a", "pid:[1]");
    internal static readonly ProcessMark NewProcess = new(8, 2, "boot-b", "pid:[1]");

    internal static TenantRecord Tenant(long vms = 1, string? key = "key-1", bool rotation = false) => new()
    {
        Name = "acme",
        Generation = 3,
        KeyId = key,
        KeyCreated = key is null ? null : Then,
        Vms = vms,
        RotationPending = rotation,
        Created = Then,
    };

    internal static VmRecord Vm(VmStatus status) => new()
    {
        Name = "v1",
        Tenant = "acme",
        Host = "h-a",
        Target = status == VmStatus.Migrating ? "h-b" : null,
        Generation = 3,
        Policy = Policy.Default,
        Release = "6.1.0-test",
        Status = status,
        Incarnation = Started,
        Processes = status == VmStatus.Saved ? [] : [Process],
        Started = Then,
        Since = Then,
    };

    internal static TableSlice Of(VmStatus status) => new(Tenant(), Vm(status), HostAlive: true);

    internal static StartVm Start(Guid incarnation) => new("acme", "v1", "h-a", Policy.Default, incarnation, [Process], "6.1.0-test");

    /// <summary>Records compare their processes by reference; these by value.</summary>
    internal static void AssertSame(VmRecord? expected, VmRecord? found)
    {
        Assert.Equal(expected is null, found is null);
        if (expected is not null)
        {
            Assert.Equal(expected.Processes.ToArray(), found!.Processes.ToArray());
            Assert.Equal(expected, found with { Processes = expected.Processes });
        }
    }
}
