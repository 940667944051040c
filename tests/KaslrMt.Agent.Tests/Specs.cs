using System.Text;
using System.Text.Json;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>Specifications of VMs.</summary>
internal static class Specs
{
    /// <summary>A VM that is there at once: its guest never begins.</summary>
    public static VmSpec Waiting(string name, string kernel) => new()
    {
        Version = VmSpec.CurrentVersion,
        Name = name,
        Kernel = kernel,
        CommandLine = "console=ttyS0",
        Memory = 128ul << 20,
        Machine = "q35",
        Policy = "000000",
        Producer = "hkdf",
        Cpus = 1,
        Accelerator = Accelerator.Tcg,
        AcceleratorReason = "the test asks for it",
        Console = VmSpec.NoConsole,
        HypervisorArguments = ["-S"],
        Program = "qemu-system-x86_64",
        FallBackToStock = false,
        Stock = true,
        Verify = false,
        UseCache = false,
        WorkingDirectory = "/",
    };

    public static string Request(VmSpec spec) => Encoding.UTF8.GetString(JsonSerializer.SerializeToUtf8Bytes(new StartRequest(spec), ApiJson.Default.StartRequest));
}
