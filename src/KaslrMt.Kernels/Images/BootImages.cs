using KaslrMt.Layout;

namespace KaslrMt.Kernels;

/// <summary>Makes bootable images from kernel files, with or without a cache.</summary>
public static class BootImages
{
    /// <summary>Writes the bootable ELF: whole or not at all, mode 0600.</summary>
    /// <param name="kernelPath">The kernel file.</param>
    /// <param name="cache">Prepared kernels, or null.</param>
    /// <param name="plan">Chooses the layout once the kernel is known.</param>
    /// <param name="path">The file to write.</param>
    /// <param name="overwritten">Memory that firmware writes to after the image is loaded, at most 2 MiB; null for none.</param>
    /// <param name="modules">How the kernel places modules.</param>
    /// <param name="open">Opens and understands the kernel; null to do so in this process.</param>
    /// <returns>What was written; the caller disposes of its layout.</returns>
    /// <exception cref="KaslrMtException">KMT20xx to KMT26xx, and what <paramref name="plan"/> throws.</exception>
    public static BootImage Write(
        string kernelPath,
        ImageCache? cache,
        Func<KernelFacts, KernelLayout> plan,
        string path,
        PhysicalRange? overwritten = null,
        ModuleAddresses modules = ModuleAddresses.ByOrder,
        Func<string, PreparedKernel>? open = null)
    {
        ArgumentNullException.ThrowIfNull(plan);
        open ??= PreparedKernel.Open;
        string? name = cache is null ? null : ImageCache.NameOf(kernelPath);
        KernelFacts? known = name is null ? null : cache!.FindFacts(name);
        if (known is null)
        {
            using PreparedKernel kernel = open(kernelPath);
            KernelLayout layout = plan(kernel.Facts);
            return new BootImage(kernel.Facts, Prepare(kernel, kernelPath, cache, name, layout, path, overwritten, modules), FromCache: false);
        }

        KernelLayout planned = plan(known);
        using WholeFile? output = cache!.TryStartWithBody(name!, known, planned.KernelVirtual, path);
        if (output is null)
        {
            // Planned anew, for the kernel that is opened now: the file may have been replaced since by one of another size.
            planned.Dispose();
            using PreparedKernel kernel = open(kernelPath);
            return new BootImage(kernel.Facts, Prepare(kernel, kernelPath, cache, name, plan(kernel.Facts), path, overwritten, modules), FromCache: false);
        }

        BootImageFile.WriteLayout(output, known, planned, overwritten, modules);
        output.Commit();
        return new BootImage(known, planned, FromCache: true);
    }

    private static KernelLayout Prepare(
        PreparedKernel kernel,
        string kernelPath,
        ImageCache? cache,
        string? name,
        KernelLayout layout,
        string path,
        PhysicalRange? overwritten,
        ModuleAddresses modules)
    {
        using WholeFile output = WholeFile.Create(path);
        kernel.WriteBody(layout, output);

        // Only bodies that another VM can use again are kept: those at a tenant's base. And only if the file did not change meanwhile.
        bool shared = layout.IsLink || layout[Region.KernelVirtual].Scope == Scope.PerTenant;
        if (cache is not null && name is not null && shared && ImageCache.NameOf(kernelPath) == name)
        {
            cache.Add(name, kernel.Facts, layout.KernelVirtual, output);
        }

        BootImageFile.WriteLayout(output, kernel.Facts, layout, overwritten, modules);
        output.Commit();
        return layout;
    }
}
