using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors.Tests;

internal static class TestVm
{
    internal static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(60);

    internal static MachineDefinition Settings(IMachineModel machine, string? kernel = null) => new()
    {
        Kernel = kernel ?? TestKernels.Image("6.1-cloud"),
        Machine = machine,
        Memory = new ByteSize(256 * ByteSize.MiB),
        Accelerator = AcceleratorChoice.Decide(Accelerator.Tcg),
    };

    internal static VmState State(string name, IVirtualMachine vm) => new()
    {
        Name = name,
        OwnerProcess = Environment.ProcessId,
        OwnerStartTime = ProcessIdentity.StartTime(Environment.ProcessId)!.Value,
        ProcessId = vm.ProcessId,
        ProcessStartTime = vm.ProcessStartTime,
    };

    internal static QmpClient MonitorOf(IVirtualMachine vm) => ((QemuVirtualMachine)vm).Monitor;

    internal static bool IsRunning(int pid)
    {
        using ProcessHandle? process = ProcessHandle.TryOpen(pid);
        return process is { IsRunning: true };
    }

    internal static async Task EventuallyAsync(Func<bool> condition, string what)
    {
        for (int i = 0; i < 500; i++)
        {
            if (condition())
            {
                return;
            }

            await Task.Delay(20);
        }

        Assert.Fail($"not within 10 s: {what}");
    }
}
