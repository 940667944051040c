using System.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Core.Tests.Files;

/// <summary>A file appears whole or not at all.</summary>
public sealed class WholeFileTests : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string _folder = Directory.CreateTempSubdirectory("kaslrmt-test-").FullName;

    private string Target => Path.Combine(_folder, "image");

    [Fact]
    public void A_committed_file_has_its_bytes_and_is_its_owners_alone()
    {
        using (WholeFile file = WholeFile.Create(Target))
        {
            file.Write([3, 4], 2);
            file.Write([1, 2], 0);
            Assert.False(File.Exists(Target));
            Assert.All(Directory.GetFiles(_folder), temporary => Assert.Equal(Private, File.GetUnixFileMode(temporary)));
            file.Commit();
        }

        Assert.Equal([1, 2, 3, 4], File.ReadAllBytes(Target));
        Assert.Equal(Private, File.GetUnixFileMode(Target));
        Assert.Equal([Target], Directory.GetFiles(_folder));
    }

    [Fact]
    public void Without_a_commit_nothing_is_left_and_what_was_there_stays()
    {
        File.WriteAllText(Target, "old");
        using (WholeFile file = WholeFile.Create(Target))
        {
            file.Write([1], 0);
        }

        Assert.Equal("old", File.ReadAllText(Target));
        Assert.Equal([Target], Directory.GetFiles(_folder));
    }

    // As /dev/stdout, when output goes to a file: the link was replaced, and all programs of the host lost it.
    [Fact]
    public void What_stands_for_an_open_file_is_not_replaced()
    {
        using FileStream open = File.Create(Path.Combine(_folder, "output"));
        File.CreateSymbolicLink(Target, $"/proc/self/fd/{open.SafeFileHandle.DangerousGetHandle()}");
        Assert.Equal(CoreErrors.NotWritable, Assert.Throws<KaslrMtException>(() => WholeFile.Create(Target)).Code);
        Assert.NotNull(new FileInfo(Target).LinkTarget);
    }

    [Fact]
    public void A_new_file_replaces_nothing_not_even_a_link_to_nowhere()
    {
        File.CreateSymbolicLink(Target, Path.Combine(_folder, "nowhere"));
        using (WholeFile file = WholeFile.Create(Target))
        {
            file.Write([1], 0);
            Assert.False(file.TryCommitNew());
            File.Delete(Target);
            Assert.True(file.TryCommitNew());
        }

        Assert.Equal([1], File.ReadAllBytes(Target));
        Assert.Equal([Target], Directory.GetFiles(_folder));
    }

    [Fact]
    public void A_file_that_was_open_to_others_is_replaced_by_one_that_is_not()
    {
        File.WriteAllText(Target, "old");
        File.SetUnixFileMode(Target, Private | UnixFileMode.OtherRead);
        using (WholeFile file = WholeFile.Create(Target))
        {
            file.Commit();
        }

        Assert.Equal(Private, File.GetUnixFileMode(Target));
    }

    [Fact]
    public void A_link_in_the_files_place_is_replaced_and_not_followed()
    {
        string elsewhere = Path.Combine(_folder, "elsewhere");
        File.WriteAllText(elsewhere, "untouched");
        File.CreateSymbolicLink(Target, elsewhere);
        using (WholeFile file = WholeFile.Create(Target))
        {
            file.Write([1], 0);
            file.Commit();
        }

        Assert.Equal("untouched", File.ReadAllText(elsewhere));
        Assert.Null(new FileInfo(Target).LinkTarget);
    }

    [Fact]
    public void A_folder_that_is_missing_or_in_the_way_has_its_number_and_the_path_that_was_given()
    {
        string missing = Path.Combine(_folder, "no", "such");
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => WholeFile.Create(missing));
        Assert.Equal(CoreErrors.NotWritable, error.Code);
        Assert.Equal($"{missing} cannot be written: no such folder", error.Problem);

        Assert.Equal(CoreErrors.NotWritable, Assert.Throws<KaslrMtException>(() => WholeFile.Create(_folder)).Code);
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void A_full_disk_leaves_nothing_and_what_was_there_stays()
    {
        using SmallDisk? disk = SmallDisk.TryMount(Path.Combine(_folder, "disk"), kibibytes: 64);

        // Not root: no file system of our own. A place in the file that none can hold ends in the same error.
        string target = Path.Combine(disk?.Path ?? _folder, "image");
        File.WriteAllText(target, "old");
        KaslrMtException error = Assert.Throws<KaslrMtException>(() =>
        {
            using WholeFile file = WholeFile.Create(target);
            file.Write(new byte[16 << 10], 0);
            file.Write(new byte[1 << 20], disk is null ? long.MaxValue - (1 << 20) : 16 << 10);
            file.Commit();
        });

        Assert.Equal(CoreErrors.WriteFailed, error.Code);
        Assert.Contains(target, error.Problem, StringComparison.Ordinal);
        Assert.Equal("old", File.ReadAllText(target));
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(target)!));
    }

    [Fact]
    public void A_copy_has_the_sources_bytes_and_its_own_mode()
    {
        string source = Path.Combine(_folder, "source");
        byte[] bytes = new byte[(3 << 20) + 5];
        new Random(1).NextBytes(bytes);
        File.WriteAllBytes(source, bytes);
        using (WholeFile file = WholeFile.Create(Target))
        {
            using var handle = File.OpenHandle(source);
            file.CopyFrom(handle);
            Assert.Equal(bytes.Length, file.Length);
            file.Commit();
        }

        Assert.True(bytes.AsSpan().SequenceEqual(File.ReadAllBytes(Target)));
        Assert.Equal(Private, File.GetUnixFileMode(Target));
    }

    [Fact]
    public void A_copy_that_does_not_fit_leaves_nothing()
    {
        using SmallDisk? disk = SmallDisk.TryMount(Path.Combine(_folder, "disk"), kibibytes: 64);
        if (disk is null)
        {
            // Not root: the error that every user can meet instead.
            Assert.Throws<KaslrMtException>(() => WholeFile.Create(Path.Combine(_folder, "no", "image")));
            return;
        }

        string source = Path.Combine(_folder, "source");
        File.WriteAllBytes(source, new byte[1 << 20]);
        KaslrMtException error = Assert.Throws<KaslrMtException>(() =>
        {
            using WholeFile file = WholeFile.Create(Path.Combine(disk.Path, "image"));
            using var handle = File.OpenHandle(source);
            file.CopyFrom(handle);
        });

        Assert.Equal(CoreErrors.WriteFailed, error.Code);
        Assert.Empty(Directory.GetFileSystemEntries(disk.Path));
    }

    [Theory]
    [InlineData("/dev/shm")]
    [InlineData("/tmp")]
    public void A_copy_has_the_sources_bytes_within_and_across_file_systems(string elsewhere)
    {
        byte[] bytes = new byte[(3 << 20) + 17];
        new Random(1).NextBytes(bytes);
        string source = Path.Combine(elsewhere, Path.GetRandomFileName());
        File.WriteAllBytes(source, bytes);
        try
        {
            using SafeFileHandle opened = File.OpenHandle(source);
            using WholeFile first = WholeFile.Create(Target);
            first.CopyFrom(opened);
            using WholeFile second = WholeFile.Create(Target + "2");
            first.CopyTo(second);
            first.Commit();
            second.Commit();
            Assert.Equal(bytes, File.ReadAllBytes(Target));
            Assert.Equal(bytes, File.ReadAllBytes(Target + "2"));
        }
        finally
        {
            File.Delete(source);
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>A memory file system of a few KiB; only root can mount one.</summary>
    private sealed class SmallDisk : IDisposable
    {
        private SmallDisk(string path) => Path = path;

        public string Path { get; }

        public static SmallDisk? TryMount(string path, int kibibytes)
        {
            Directory.CreateDirectory(path);
            return Run("mount", "-t", "tmpfs", "-o", $"size={kibibytes}k,mode=0700", "tmpfs", path) ? new SmallDisk(path) : null;
        }

        public void Dispose() => Run("umount", Path);

        private static bool Run(string program, params string[] arguments)
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
    }
}
