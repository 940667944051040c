using KaslrMt.Lab.Experiments;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Tests.Experiments;

/// <summary>What an experiment cannot do is said before it boots anything, and its results do not mix with another's.</summary>
public sealed class ExperimentTests : IDisposable
{
    private readonly Scratch _scratch = new();

    private string Folder => _scratch.At("results");

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("regions --policy 11", "KMT1001", 2)]
    [InlineData("regions --probes 1", "KMT9001", 2)]
    [InlineData("regions --guest windows", "KMT9001", 2)]
    [InlineData("regions --kernel 9.9-none", "KMT6025", 4)]
    [InlineData("regions --guest debian --kernel 9.9-none", "KMT6025", 4)]
    [InlineData("regions --memory 5X", "KMT9001", 2)]
    [InlineData("regions --memory 16M", "KMT3021", 3)]
    [InlineData("regions --parallel 200 --memory 512G", "KMT6022", 4)]
    [InlineData("curve --guests 256 --memory 512G --no-ksm", "KMT6022", 4)]
    [InlineData("curve --guests 1", "KMT9001", 2)]
    [InlineData("curve --mode sideways", "KMT9001", 2)]
    [InlineData("curve --mode off kaslr-mt-zeroed-by-name", "KMT9001", 2)]
    [InlineData("curve --policy 22 --no-ksm", "KMT1001", 2)]
    public async Task What_cannot_be_measured_is_said_first(string words, string number, int code)
    {
        (await KaslrmtLab.CallAsync(["experiment", .. words.Split(' '), "--output", Folder])).FailedWith(number, code);
        Assert.False(Directory.Exists(Folder));
    }

    [Fact]
    public void A_folder_takes_the_settings_it_was_begun_with_and_no_others()
    {
        ExperimentFolder.Open(Folder, Settings()).Dispose();
        ExperimentFolder.Open(Folder, Settings()).Dispose();
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => ExperimentFolder.Open(Folder, Settings() with { Guests = 9, Variants = ["110010"] }));
        Assert.Equal(SharingErrors.ExperimentOtherExperiment, error.Code);
        Assert.Contains("guests was 3 and is 9", error.Problem, StringComparison.Ordinal);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Folder));
    }

    [Fact]
    public void A_folder_of_something_else_is_left_alone()
    {
        Directory.CreateDirectory(Folder);
        File.WriteAllText(Path.Combine(Folder, "letter"), "dear");
        Assert.Equal(SharingErrors.ExperimentOtherExperiment, Assert.Throws<KaslrMtException>(() => ExperimentFolder.Open(Folder, Settings())).Code);
        Assert.Single(Directory.GetFileSystemEntries(Folder));
    }

    [Fact]
    public void Damaged_settings_are_named()
    {
        ExperimentFolder.Open(Folder, Settings()).Dispose();
        File.WriteAllText(Path.Combine(Folder, "experiment.json"), "{ \"experiment\": ");
        Assert.Equal(SharingErrors.ExperimentDamaged, Assert.Throws<KaslrMtException>(() => ExperimentFolder.Open(Folder, Settings())).Code);
    }

    // All of them are JSON. "null" was taken for no settings, and another experiment's results would have been mixed with it.
    [Theory]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{ \"experiment\": null }")]
    public void Settings_that_hold_nothing_are_damaged(string content)
    {
        ExperimentFolder.Open(Folder, Settings()).Dispose();
        File.WriteAllText(Path.Combine(Folder, "experiment.json"), content);
        Assert.Equal(SharingErrors.ExperimentDamaged, Assert.Throws<KaslrMtException>(() => ExperimentFolder.Open(Folder, Settings())).Code);
        Assert.Equal(content, File.ReadAllText(Path.Combine(Folder, "experiment.json")));
    }

    // The disk was full when the settings were to be written, or the process was killed.
    [Fact]
    public void A_folder_whose_beginning_failed_can_be_begun_again()
    {
        Directory.CreateDirectory(Folder);
        File.WriteAllText(Path.Combine(Folder, "lock"), "");
        ExperimentFolder.Open(Folder, Settings()).Dispose();
        Directory.Delete(Path.Combine(Folder, "probes"));
        ExperimentFolder.Open(Folder, Settings()).Dispose();
        Assert.True(Directory.Exists(Path.Combine(Folder, "probes")));
    }

    [Fact]
    public void A_file_is_no_folder()
    {
        File.WriteAllText(Folder, "dear");
        Assert.Equal(SharingErrors.ExperimentOtherExperiment, Assert.Throws<KaslrMtException>(() => ExperimentFolder.Open(Folder, Settings())).Code);
        Assert.Equal("dear", File.ReadAllText(Folder));
    }

    [Theory]
    [InlineData("")]
    [InlineData("x\n")]
    public void A_damaged_key_is_named_with_its_place(string content)
    {
        using ExperimentFolder folder = ExperimentFolder.Open(Folder, Settings());
        File.WriteAllText(Path.Combine(Folder, "key"), content);
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => folder.Key());
        Assert.Equal(SharingErrors.ExperimentDamaged, error.Code);
        Assert.Contains(Path.Combine(Folder, "key"), error.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_experiments_do_not_work_in_one_folder()
    {
        using ExperimentFolder first = ExperimentFolder.Open(Folder, Settings());
        Assert.Equal(SharingErrors.ExperimentFolderInUse, Assert.Throws<KaslrMtException>(() => ExperimentFolder.Open(Folder, Settings())).Code);
    }

    [Fact]
    public void The_key_is_the_same_until_it_is_forgotten_and_nobody_elses_to_read()
    {
        using ExperimentFolder folder = ExperimentFolder.Open(Folder, Settings());
        using Layout.TenantKey first = folder.Key(), second = folder.Key();
        Assert.True(first.Matches(second));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(Folder, "key")));
        folder.ForgetKey();
        Assert.False(folder.HasKey);
        using Layout.TenantKey third = folder.Key();
        Assert.False(first.Matches(third));
    }

    private static ExperimentSettings Settings() => NoGuests.Settings with { Guests = 3, Variants = ["111111", "110010"] };
}
