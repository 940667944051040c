using System.Collections.Concurrent;
using KaslrMt.Vms;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.BootTests.Running;

/// <summary>What layouts must know of the kernels, and VM seeds that give wanted places: planning costs microseconds, booting seconds.</summary>
internal static class Geometries
{
    private const int MostSeeds = 300_000;

    private static readonly ConcurrentDictionary<string, KernelGeometry> Known = new();

    internal static KernelGeometry Of(string kernel) => Known.GetOrAdd(kernel, name =>
    {
        using KernelImage image = KernelImage.Open(TestKernels.Image(name));
        return image.Geometry;
    });

    /// <summary>The plan with a seed whose layout is the wanted one.</summary>
    internal static GuestPlan Find(HostFolder scratch, GuestPlan plan, Func<KernelLayout, bool> wanted)
    {
        using LayoutRequest request = plan.Request(new FileInfo(GuestInit.WriteTo(scratch.At("sample.initrd"), plan.Kernel, plan.Then)).Length);
        KernelGeometry geometry = Of(plan.Kernel);
        GuestMemoryMap memory = request.MemoryMap;
        for (int i = 0; i < MostSeeds; i++)
        {
            string hex = TestSecrets.Seed($"{plan.Seed} {i}");
            using VmSeed seed = VmSeed.FromHex(hex);
            using KernelLayout layout = LayoutPlanner.Plan(geometry, memory, request.Policy, request.Key, seed, request.Producer);
            if (wanted(layout))
            {
                return plan with { Seed = hex };
            }
        }

        throw new InvalidOperationException($"no seed found for {plan}");
    }
}
