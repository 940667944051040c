using System.Diagnostics;
using KaslrMt.Layout;

namespace KaslrMt.Kernels.Tests;

/// <summary>The cache of prepared kernels: fast, and never wrong.</summary>
public sealed class ImageCacheTests : IDisposable
{
    private const UnixFileMode PrivateFolder = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode PrivateFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string _folder = MemoryFolder.Create();

    private string CacheFolder => Path.Combine(_folder, "cache");

    private string[] Bodies => Directory.GetFiles(CacheFolder, "*.body");

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public void An_image_from_the_cache_is_the_uncached_one_byte_for_byte(string name)
    {
        ImageCache cache = ImageCache.Open(CacheFolder);
        string kernel = TestKernels.Image(name);
        foreach (ulong vm in (ulong[])[1, 2])
        {
            byte[] uncached = Write(kernel, null, vm);
            byte[] cold = Write(kernel, cache, vm);
            byte[] warm = Write(kernel, cache, vm);

            Assert.True(uncached.AsSpan().SequenceEqual(cold));
            Assert.True(uncached.AsSpan().SequenceEqual(warm));
            Assert.Single(Bodies);
        }
    }

    [Fact]
    public void Entries_are_their_owners_alone()
    {
        ImageCache cache = ImageCache.Open(CacheFolder);
        Write(TestKernels.Image("6.1-cloud"), cache, 1);

        Assert.Equal(PrivateFolder, File.GetUnixFileMode(CacheFolder));
        Assert.Equal(2, Directory.GetFiles(CacheFolder).Length);
        Assert.All(Directory.GetFiles(CacheFolder), entry => Assert.Equal(PrivateFile, File.GetUnixFileMode(entry)));
        Assert.Equal(PrivateFile, File.GetUnixFileMode(Path.Combine(_folder, "image")));
    }

    [Theory]
    [InlineData(PrivateFolder | UnixFileMode.OtherExecute)]
    [InlineData(PrivateFolder | UnixFileMode.GroupRead)]
    [InlineData(PrivateFolder | UnixFileMode.OtherWrite | UnixFileMode.StickyBit)]
    public void A_folder_open_to_others_is_refused(UnixFileMode mode)
    {
        Directory.CreateDirectory(CacheFolder);
        File.SetUnixFileMode(CacheFolder, mode);

        Assert.Equal(CoreErrors.CacheNotPrivate, Assert.Throws<KaslrMtException>(() => ImageCache.Open(CacheFolder)).Code);
    }

    [Fact]
    public void A_link_to_a_folder_is_refused()
    {
        string elsewhere = Path.Combine(_folder, "elsewhere");
        Directory.CreateDirectory(elsewhere, PrivateFolder);
        File.CreateSymbolicLink(CacheFolder, elsewhere);

        Assert.Equal(CoreErrors.CacheNotPrivate, Assert.Throws<KaslrMtException>(() => ImageCache.Open(CacheFolder)).Code);
    }

    [Fact]
    public void Somebody_elses_folder_is_refused()
    {
        // To root, somebody else's folder is one given to nobody; to anybody else, / and the like are root's.
        string foreign = CacheFolder;
        Directory.CreateDirectory(foreign, PrivateFolder);
        if (!Environment.IsPrivilegedProcess)
        {
            foreign = "/root";
        }
        else
        {
            using Process chown = Process.Start("chown", ["65534:65534", foreign]);
            chown.WaitForExit();
            Assert.Equal(0, chown.ExitCode);
        }

        ErrorCode code = Assert.Throws<KaslrMtException>(() => ImageCache.Open(foreign)).Code;
        Assert.Contains(code, new[] { CoreErrors.CacheNotPrivate, CoreErrors.NotWritable });
    }

    [Fact]
    public void A_changed_kernel_is_never_served_from_an_old_entry()
    {
        ImageCache cache = ImageCache.Open(CacheFolder);
        string kernel = Copy("6.1-cloud");
        byte[] before = Write(kernel, cache, 1);
        Settle(kernel);
        Write(kernel, cache, 1);
        Assert.Single(Bodies);

        // Same path and size: one byte of the command line's maximum is another, the times are set back.
        DateTime modified = File.GetLastWriteTimeUtc(kernel);
        using (FileStream file = File.OpenWrite(kernel))
        {
            file.Position = 0x238;
            file.WriteByte(0x42);
        }

        File.SetLastWriteTimeUtc(kernel, modified);
        byte[] after = Write(kernel, cache, 1);
        byte[] uncached = Write(kernel, null, 1);

        Assert.True(uncached.AsSpan().SequenceEqual(after));
        Assert.False(before.AsSpan().SequenceEqual(after));
    }

    [Fact]
    public void A_kernel_replaced_between_planning_and_preparing_is_planned_anew()
    {
        ImageCache cache = ImageCache.Open(CacheFolder);
        string kernel = Copy("6.1-cloud");
        Settle(kernel);
        Write(kernel, cache, 1);
        Array.ForEach(Bodies, File.Delete);
        string planned = "";
        BootImage written = BootImages.Write(kernel, cache, PlanAndReplace, Path.Combine(_folder, "image"));
        written.Layout.Dispose();

        Assert.Equal(written.Kernel.Release, planned);
        Assert.StartsWith("6.12", planned, StringComparison.Ordinal);

        KernelLayout PlanAndReplace(KernelFacts facts)
        {
            planned = facts.Release;
            File.Copy(TestKernels.Image("6.12-cloud"), kernel, overwrite: true);
            return Layouts.Of(facts.Geometry, 1, "a-tenant-key-of-the-tests");
        }
    }

    [Fact]
    public void Another_tenant_never_gets_this_tenants_body()
    {
        ImageCache cache = ImageCache.Open(CacheFolder);
        string kernel = TestKernels.Image("6.1-cloud");
        Write(kernel, cache, 1);
        byte[] other = Write(kernel, cache, 1, "another-tenant-key-here");

        Assert.Equal(2, Bodies.Length);
        Assert.True(Write(kernel, null, 1, "another-tenant-key-here").AsSpan().SequenceEqual(other));
    }

    [Theory]
    [InlineData(".body", 0)]
    [InlineData(".body", 1 << 20)]
    [InlineData(".facts", 0)]
    [InlineData(".facts", 100)]
    public void A_truncated_entry_is_ignored_and_replaced(string suffix, int length)
    {
        ImageCache cache = ImageCache.Open(CacheFolder);
        string kernel = TestKernels.Image("6.1-cloud");
        byte[] expected = Write(kernel, cache, 1);
        string entry = Assert.Single(Directory.GetFiles(CacheFolder, "*" + suffix));
        long whole = new FileInfo(entry).Length;
        using (FileStream file = File.OpenWrite(entry))
        {
            file.SetLength(length);
        }

        Assert.True(expected.AsSpan().SequenceEqual(Write(kernel, cache, 1)));
        Assert.Equal(whole, new FileInfo(entry).Length);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[1, 2")]
    [InlineData("not JSON")]
    public void A_damaged_entry_is_ignored_and_replaced(string content)
    {
        ImageCache cache = ImageCache.Open(CacheFolder);
        string kernel = TestKernels.Image("6.1-cloud");
        byte[] expected = Write(kernel, cache, 1);
        string facts = Assert.Single(Directory.GetFiles(CacheFolder, "*.facts"));
        File.WriteAllText(facts, content);

        Assert.True(expected.AsSpan().SequenceEqual(Write(kernel, cache, 1)));
        Assert.NotEqual(content, File.ReadAllText(facts));
    }

    [Fact]
    public void The_least_recently_used_body_goes_first_and_the_bound_holds()
    {
        const long Limit = 130L << 20;
        ImageCache cache = ImageCache.Open(CacheFolder, Limit);
        string kernel = TestKernels.Image("6.1-cloud");
        Write(kernel, cache, 1, "the-first-tenant-key");
        string first = Assert.Single(Bodies);
        Write(kernel, cache, 1, "the-second-tenant-key");
        string second = Assert.Single(Bodies, body => body != first);
        Write(kernel, cache, 2, "the-first-tenant-key");
        Write(kernel, cache, 1, "the-third-tenant-key");

        Assert.Equal(2, Bodies.Length);
        Assert.Contains(first, Bodies);
        Assert.DoesNotContain(second, Bodies);
        Assert.InRange(cache.Size, 1, Limit);
    }

    [Fact]
    public void A_bound_below_one_image_keeps_none()
    {
        ImageCache cache = ImageCache.Open(CacheFolder, limit: 1 << 20);
        byte[] image = Write(TestKernels.Image("6.1-cloud"), cache, 1);

        Assert.NotEmpty(image);
        Assert.Empty(Bodies);
    }

    [Fact]
    public void Clearing_leaves_nothing()
    {
        ImageCache cache = ImageCache.Open(CacheFolder);
        Write(TestKernels.Image("6.1-cloud"), cache, 1);
        cache.Clear();

        Assert.Equal(0, cache.Size);
        Assert.Empty(Directory.GetFileSystemEntries(CacheFolder));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static void Settle(string kernel)
    {
        // A kernel file changed less than two seconds ago is not cached: a second change might not show in its times.
        for (long start = Stopwatch.GetTimestamp(); ImageCache.NameOf(kernel) is null; Thread.Sleep(100))
        {
            Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 10);
        }
    }

    private string Copy(string name)
    {
        string copy = Path.Combine(_folder, "vmlinuz");
        File.Copy(TestKernels.Image(name), copy);
        return copy;
    }

    private byte[] Write(string kernel, ImageCache? cache, ulong vm, string tenant = "a-tenant-key-of-the-tests")
    {
        string path = Path.Combine(_folder, "image");
        BootImages.Write(kernel, cache, facts => Layouts.Of(facts.Geometry, vm, tenant), path).Layout.Dispose();
        return File.ReadAllBytes(path);
    }
}
