using System.Reflection;
using System.Runtime.Loader;

namespace KaslrMt.Kernels.Tests.Payloads;

/// <summary>Loads the code a second time in a context that can hide shared libraries and writes down which ones it asked for.</summary>
public sealed class MissingLibraryTests(SmallPayloads small) : IClassFixture<SmallPayloads>
{
    [Theory]
    [InlineData(PayloadFormat.Bzip2, "libbz2.so.1.0", "libbz2-1.0")]
    [InlineData(PayloadFormat.Lzma, "liblzma.so.5", "liblzma5")]
    [InlineData(PayloadFormat.Xz, "liblzma.so.5", "liblzma5")]
    [InlineData(PayloadFormat.Lzo, "liblzo2.so.2", "liblzo2-2")]
    [InlineData(PayloadFormat.Lz4, "liblz4.so.1", "liblz4-1")]
    [InlineData(PayloadFormat.Zstd, "libzstd.so.1", "libzstd1")]
    public void A_missing_library_is_named_with_its_Debian_package(PayloadFormat format, string library, string package)
    {
        HidingContext context = new(library);

        string outcome = context.Unpack(small[format]);

        Assert.StartsWith("KMT2120 Host ", outcome, StringComparison.Ordinal);
        Assert.Contains($" {library},", outcome, StringComparison.Ordinal);
        Assert.EndsWith($"install Debian's package {package}", outcome, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(PayloadFormat.Gzip, null)]
    [InlineData(PayloadFormat.Bzip2, "libbz2.so.1.0")]
    [InlineData(PayloadFormat.Lzma, "liblzma.so.5")]
    [InlineData(PayloadFormat.Xz, "liblzma.so.5")]
    [InlineData(PayloadFormat.Lzo, "liblzo2.so.2")]
    [InlineData(PayloadFormat.Lz4, "liblz4.so.1")]
    [InlineData(PayloadFormat.Zstd, "libzstd.so.1")]
    public void Only_the_library_of_the_format_is_loaded(PayloadFormat format, string? library)
    {
        HidingContext context = new(hidden: null);

        Assert.Equal("unpacked", context.Unpack(small[format]));
        Assert.Equal(library is null ? [] : [library], context.Asked.Where(name => name != "libc").Distinct());
    }

    /// <summary>Runs inside the second context, where the types of this one are strangers; so it speaks in bytes and strings.</summary>
    internal static string UnpackHere(byte[] payload)
    {
        try
        {
            using NativeBuffer unpacked = Payload.Decompress(payload);
            return "unpacked";
        }
        catch (KaslrMtException e)
        {
            return $"{e.Code} {e.Category} {e.Message}";
        }
    }

    private sealed class HidingContext(string? hidden) : AssemblyLoadContext("hiding")
    {
        internal List<string> Asked { get; } = [];

        internal string Unpack(byte[] payload)
        {
            Type here = LoadFromAssemblyPath(typeof(MissingLibraryTests).Assembly.Location).GetType(typeof(MissingLibraryTests).FullName!)!;
            MethodInfo method = here.GetMethod(nameof(UnpackHere), BindingFlags.Static | BindingFlags.NonPublic)!;
            return (string)method.Invoke(null, [payload])!;
        }

        protected override Assembly? Load(AssemblyName assemblyName) =>
            assemblyName.Name!.StartsWith("KaslrMt", StringComparison.Ordinal)
                ? LoadFromAssemblyPath(Path.Combine(AppContext.BaseDirectory, assemblyName.Name + ".dll"))
                : null;

        protected override nint LoadUnmanagedDll(string unmanagedDllName)
        {
            Asked.Add(unmanagedDllName);
            return unmanagedDllName == hidden ? throw new DllNotFoundException(unmanagedDllName) : 0;
        }
    }
}
