using System.Reflection;
using KaslrMt.Kernels;
using KaslrMt.Vms.Workers;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms.Tests.Workers;

/// <summary>The native worker of the tests, with or without a fault.</summary>
internal static class Probe
{
    private static string Program { get; } = Path.GetFullPath(
        typeof(Probe).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "WorkerProbe").Value!);

    public static WorkerSettings Settings(params string[] arguments) => new(Program, arguments);

    public static async Task<PreparedKernel> PrepareAsync(string kernel, WorkerSettings settings, CancellationToken cancellationToken = default)
    {
        using SafeFileHandle file = File.OpenHandle(kernel);
        return await KernelWorkerProcess.PrepareAsync(file, settings, cancellationToken);
    }

    public static Task<KaslrMtException> FailAsync(string fault) => FailAsync(Settings(fault));

    public static async Task<KaslrMtException> FailAsync(WorkerSettings settings) =>
        await Assert.ThrowsAsync<KaslrMtException>(async () => (await PrepareAsync(TestKernels.Image("6.12-cloud"), settings)).Dispose());
}
