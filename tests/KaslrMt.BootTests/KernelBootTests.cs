using KaslrMt.BootTests.Running;

namespace KaslrMt.BootTests;

/// <summary>Every kernel in the tests' folder takes the layout.</summary>
public sealed class KernelBootTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public static TheoryData<string> Kernels => [.. TestKernels.Names()];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Kernels))]
    public Task A_kernel_runs_where_it_was_put(string kernel) =>
        Agreement.BootAndCheckAsync(_scratch, new GuestPlan { Kernel = kernel, Seed = TestSecrets.Seed($"kernel {kernel}") });
}
