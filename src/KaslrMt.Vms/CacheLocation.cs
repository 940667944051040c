using KaslrMt.Hypervisors;
using KaslrMt.Kernels;

namespace KaslrMt.Vms;

/// <summary>Where prepared kernels are cached: beside the running VMs, in memory where <c>/run</c> is.</summary>
internal static class CacheLocation
{
    // Not a legal VM name, so never taken for one.
    private const string Folder = ".prepared";

    /// <summary>Opens the cache of the runtime directory.</summary>
    public static ImageCache Open() => Open(RuntimeDirectory.Open());

    /// <inheritdoc cref="Open()"/>
    public static ImageCache Open(RuntimeDirectory runtime) => ImageCache.Open(Path.Combine(runtime.Path, Folder));
}
