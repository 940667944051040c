using KaslrMt.BootTests.Running;

namespace KaslrMt.BootTests;

/// <summary>Every machine type with every memory size, both kernels with every machine type, one and two processors.</summary>
public abstract class MachineTests(params string[] machines) : IDisposable
{
    private static readonly string[] Sizes = ["128M", "512M", "2G", "4G", "16G"];

    private readonly HostFolder _scratch = new();

    public void Dispose()
    {
        _scratch.Dispose();
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task A_guest_of_every_size_runs_where_it_was_put(int size)
    {
        for (int i = 0; i < machines.Length; i++)
        {
            // Neighbours in the matrix differ in kernel; processors change at half that pace, so each kernel has both counts.
            await Agreement.BootAndCheckAsync(_scratch, new GuestPlan
            {
                Machine = machines[i],
                Memory = Sizes[size],
                Kernel = (size + i) % 2 == 0 ? "6.1-cloud" : "6.12-cloud",
                Cpus = 1 + (((size / 2) + i) % 2),
                Seed = TestSecrets.Seed($"{machines[i]} {Sizes[size]}"),
            });
        }
    }
}

/// <summary>Machines with a PC's firmware, which works in high memory before the kernel starts.</summary>
public sealed class PcMachineTests() : MachineTests("pc", "q35");

/// <summary>Machines without.</summary>
public sealed class MicrovmMachineTests() : MachineTests("microvm", "microvm,acpi=off");
