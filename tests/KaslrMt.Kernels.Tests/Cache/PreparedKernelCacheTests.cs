using System.Diagnostics;
using System.Security.Cryptography;
using KaslrMt.Layout;

namespace KaslrMt.Kernels.Tests;

/// <summary>The cache of prepared kernels: fast, never wrong, and without a secret.</summary>
public sealed class PreparedKernelCacheTests : IDisposable
{
    private const UnixFileMode PrivateFolder = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode PrivateFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string _folder = MemoryFolder.Create();

    private string CacheFolder => Path.Combine(_folder, "cache");

    private string[] Entries => Directory.GetFiles(CacheFolder);

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public void A_kernel_is_found_again_under_its_digest_and_gives_the_same_image(string name)
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        string digest = Convert.ToHexStringLower(SHA256.HashData(RealKernel.ReadFile(name)));
        Assert.Null(cache.Find(digest));
        using PreparedKernel kernel = PreparedKernel.Open(TestKernels.Image(name));
        cache.Add(digest, kernel);
        using PreparedKernel? found = cache.Find(digest);
        Assert.NotNull(found);
        foreach (ulong vm in (ulong[])[1, 2])
        {
            Assert.True(Image(kernel, vm).AsSpan().SequenceEqual(Image(found, vm)));
        }

        Assert.Null(cache.Find(Digest('b')));
        Assert.Equal(new FileInfo(Assert.Single(Entries)).Length, cache.Size);
    }

    [Fact]
    public void An_entry_is_the_kernel_as_linked_wherever_it_was_moved_before()
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        using PreparedKernel kernel = Small();
        cache.Add(Digest('a'), kernel);
        byte[] linked = File.ReadAllBytes(Assert.Single(Entries));
        Assert.Equal(SmallKernel.Write(_folder), linked);

        // No base of any tenant's is in it.
        const ulong Slide = 0x1d200000;
        kernel.MoveTo(new VirtualAddress(kernel.Facts.LinkBase + Slide));
        byte[] moved = Bytes(kernel);
        cache.Add(Digest('b'), kernel);
        byte[] added = File.ReadAllBytes(Assert.Single(Entries, path => Path.GetFileName(path).StartsWith('b')));
        Assert.Equal(linked, added);

        using PreparedKernel found = cache.Find(Digest('b'))!;
        Assert.NotEqual(moved, Bytes(found));
        found.MoveTo(new VirtualAddress(kernel.Facts.LinkBase + Slide));
        Assert.Equal(moved, Bytes(found));
    }

    [Fact]
    public void An_entry_is_replaced_by_a_later_one()
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        using PreparedKernel kernel = Small();
        cache.Add(Digest('a'), kernel);
        cache.Add(Digest('a'), kernel);
        Assert.Single(Entries);
    }

    [Fact]
    public void Every_truncated_entry_is_a_miss_and_removed()
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        using PreparedKernel kernel = Small();
        cache.Add(Digest('a'), kernel);
        string entry = Assert.Single(Entries);
        byte[] whole = File.ReadAllBytes(entry);
        foreach (int length in (int[])[0, 1, 39, 40, 1000, 4095, 4096, whole.Length - 4096, whole.Length - 1])
        {
            File.WriteAllBytes(entry, whole[..length]);
            Assert.Null(cache.Find(Digest('a')));
            Assert.False(File.Exists(entry), $"an entry of {length} bytes stayed");
        }

        File.WriteAllBytes(entry, [.. whole, 0]);
        Assert.Null(cache.Find(Digest('a')));
        Assert.Empty(Entries);

        // The next use prepares the kernel and adds it anew.
        cache.Add(Digest('a'), kernel);
        Assert.Equal(whole, File.ReadAllBytes(entry));
        cache.Find(Digest('a'))!.Dispose();
    }

    [Theory]
    [InlineData(0)] // the magic
    [InlineData(24)] // the length of the facts
    [InlineData(60)] // the facts
    public void A_damaged_entry_is_a_miss_and_removed(int at)
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        using PreparedKernel kernel = Small();
        cache.Add(Digest('a'), kernel);
        string entry = Assert.Single(Entries);
        byte[] bytes = File.ReadAllBytes(entry);
        bytes[at] ^= 0xff;
        File.WriteAllBytes(entry, bytes);
        Assert.Null(cache.Find(Digest('a')));
        Assert.Empty(Entries);
    }

    [Fact]
    public void An_entry_that_cannot_be_opened_is_a_miss()
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        using PreparedKernel kernel = Small();
        cache.Add(Digest('a'), kernel);
        string entry = Assert.Single(Entries);
        File.Delete(entry);
        Directory.CreateDirectory(entry);
        Assert.Null(cache.Find(Digest('a')));
        cache.Add(Digest('a'), kernel);
    }

    [Fact]
    public void Another_builds_entry_is_not_met()
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        using PreparedKernel kernel = Small();
        cache.Add(Digest('a'), kernel);
        string entry = Assert.Single(Entries);

        // The name holds this build; so named by another, the same bytes are nobody's.
        string build = typeof(PreparedKernelCache).Module.ModuleVersionId.ToString("N")[..16];
        Assert.Equal($"{Digest('a')}.{build}.kernel", Path.GetFileName(entry));
        string other = entry.Replace(build, "0123456789abcdef", StringComparison.Ordinal);
        File.Move(entry, other);
        Assert.Null(cache.Find(Digest('a')));
        Assert.True(File.Exists(other));
        Assert.Equal(new FileInfo(other).Length, cache.Size);
    }

    [Fact]
    public void The_least_recently_used_entry_goes_first_and_the_bound_holds()
    {
        using PreparedKernel kernel = Small();
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        cache.Add(Digest('a'), kernel);
        long one = cache.Size;
        cache = PreparedKernelCache.Open(CacheFolder, (3 * one) + 1);
        foreach (char name in "bc")
        {
            cache.Add(Digest(name), kernel);
        }

        // All are old, in this order; the first is used once more.
        foreach ((char name, int hours) in new[] { ('a', 3), ('b', 2), ('c', 1) })
        {
            File.SetLastWriteTimeUtc(EntryOf(name), DateTime.UtcNow.AddHours(-hours));
        }

        cache.Find(Digest('a'))!.Dispose();
        cache.Add(Digest('d'), kernel);
        Assert.Equal("acd", Names());
        cache.Add(Digest('e'), kernel);
        Assert.Equal("ade", Names());
        Assert.InRange(cache.Size, 1, (3 * one) + 1);

        string EntryOf(char name) => Entries.Single(path => Path.GetFileName(path)[0] == name);
        string Names() => string.Concat(Entries.Select(path => Path.GetFileName(path)[0]).Order());
    }

    [Fact]
    public void A_bound_below_one_kernel_keeps_none_and_costs_no_other()
    {
        using PreparedKernel kernel = Small();
        PreparedKernelCache.Open(CacheFolder).Add(Digest('a'), kernel);
        string entry = Assert.Single(Entries);
        PreparedKernelCache.Open(CacheFolder, limit: 1000).Add(Digest('b'), kernel);
        Assert.Equal([entry], Entries);
    }

    [Fact]
    public void Entries_are_their_owners_alone()
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(Path.Combine(CacheFolder, "deeper"));
        using PreparedKernel kernel = Small();
        cache.Add(Digest('a'), kernel);
        Assert.Equal(PrivateFolder, File.GetUnixFileMode(Path.Combine(CacheFolder, "deeper")));
        Assert.Equal(PrivateFile, File.GetUnixFileMode(Assert.Single(Directory.GetFiles(Path.Combine(CacheFolder, "deeper")))));
    }

    [Theory]
    [InlineData(PrivateFolder | UnixFileMode.OtherExecute)]
    [InlineData(PrivateFolder | UnixFileMode.GroupRead)]
    [InlineData(PrivateFolder | UnixFileMode.OtherWrite | UnixFileMode.StickyBit)]
    public void A_folder_open_to_others_is_refused(UnixFileMode mode)
    {
        Directory.CreateDirectory(CacheFolder);
        File.SetUnixFileMode(CacheFolder, mode);
        Assert.Equal(CoreErrors.CacheNotPrivate, Assert.Throws<KaslrMtException>(() => PreparedKernelCache.Open(CacheFolder)).Code);
    }

    [Fact]
    public void A_link_to_a_folder_is_refused()
    {
        string elsewhere = Path.Combine(_folder, "elsewhere");
        Directory.CreateDirectory(elsewhere, PrivateFolder);
        File.CreateSymbolicLink(CacheFolder, elsewhere);
        Assert.Equal(CoreErrors.CacheNotPrivate, Assert.Throws<KaslrMtException>(() => PreparedKernelCache.Open(CacheFolder)).Code);
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

        ErrorCode code = Assert.Throws<KaslrMtException>(() => PreparedKernelCache.Open(foreign)).Code;
        Assert.Contains(code, new[] { CoreErrors.CacheNotPrivate, CoreErrors.NotWritable });
    }

    [Fact]
    public void Where_a_file_is_no_folder_can_be_made()
    {
        File.WriteAllText(CacheFolder, "");
        ErrorCode code = Assert.Throws<KaslrMtException>(() => PreparedKernelCache.Open(CacheFolder)).Code;
        Assert.Equal(CoreErrors.NotWritable, code);
    }

    [Theory]
    [InlineData("")]
    [InlineData("../../etc/passwd")]
    public void What_is_no_digest_names_no_entry(string digest)
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.Find(digest));
        using PreparedKernel kernel = Small();
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.Add(digest, kernel));
    }

    [Fact]
    public void Clearing_leaves_nothing()
    {
        PreparedKernelCache cache = PreparedKernelCache.Open(CacheFolder);
        using PreparedKernel kernel = Small();
        cache.Add(Digest('a'), kernel);
        cache.Clear();
        Assert.Equal(0, cache.Size);
        Assert.Empty(Directory.GetFileSystemEntries(CacheFolder));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string Digest(char name) => new(name, 64);

    private static byte[] Bytes(PreparedKernel kernel) => [.. Enumerable.Range(0, kernel.Facts.Segments.Length).SelectMany(i => kernel.Bytes(i).ToArray())];

    private PreparedKernel Small() => SmallKernel.Read(SmallKernel.Write(_folder));

    private byte[] Image(PreparedKernel kernel, ulong vm)
    {
        string path = Path.Combine(_folder, "image");
        using KernelLayout layout = Layouts.Of(kernel.Facts.Geometry, vm);
        kernel.WriteBootImage(layout, path);
        return File.ReadAllBytes(path);
    }
}
