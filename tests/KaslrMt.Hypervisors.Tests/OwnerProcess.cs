using System.Diagnostics;

namespace KaslrMt.Hypervisors.Tests;

/// <summary>A real process that owns a real VM, for tests that end the owner. It says READY and QEMU's number, then waits.</summary>
internal static class OwnerProcess
{
    internal static async Task<int> RunAsync(string[] arguments)
    {
        using OwnerSignals signals = new();
        using VmFolder folder = RuntimeDirectory.Open(arguments[0]).Claim(arguments[1]);
        bool detached = arguments is [_, _, "detached"];
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(
            TestVm.Settings(QemuMachine.Microvm) with { StartPaused = true, OutlivesOwner = detached }, folder);
        File.WriteAllBytes(Path.Combine(folder.Path, "left"), [1]);
        folder.WriteState(TestVm.State(folder.Name, vm) with { Detached = detached });
        Console.WriteLine($"READY {vm.ProcessId}");
        try
        {
            await vm.WaitForExitAsync(signals.StopRequested);
        }
        catch (OperationCanceledException)
        {
            VmExit exit = await vm.StopAsync(TimeSpan.Zero);
            Console.WriteLine($"STOPPED {exit.Reason} {exit.ExitCode}");
        }

        return 0;
    }

    internal static int Claim(string directory, string name)
    {
        try
        {
            using VmFolder folder = RuntimeDirectory.Open(directory).Claim(name);
            Console.WriteLine("WON");
            Console.In.ReadLine();
            return 0;
        }
        catch (KaslrMtException e) when (e.Code == HypervisorErrors.NameInUse)
        {
            Console.WriteLine("LOST");
            return 1;
        }
    }

    internal static Process Start(params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet") { RedirectStandardOutput = true, RedirectStandardInput = true };
        start.ArgumentList.Add(typeof(OwnerProcess).Assembly.Location);
        Array.ForEach(arguments, start.ArgumentList.Add);
        return Process.Start(start)!;
    }
}
