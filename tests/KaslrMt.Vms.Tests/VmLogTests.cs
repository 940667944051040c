namespace KaslrMt.Vms.Tests;

public sealed class VmLogTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void A_vms_log_is_private_and_bounded_however_often_the_guest_reboots()
    {
        List<string> told = [];
        VmLog log = new(_scratch.Folder, told.Add);
        log.WriteLine("first");
        log.Detach();
        for (int i = 0; i < 4 * VmLog.LargestFile / 100; i++)
        {
            log.WriteLine(new string('x', 100));
        }

        // The caller that started the VM is told until it runs.
        Assert.Equal(["first"], told);
        string[] files = Directory.GetFiles(_scratch.Folder, "log*");
        Assert.Equal(2, files.Length);
        Assert.All(files, file => Assert.InRange(new FileInfo(file).Length, 1, VmLog.LargestFile));
        Assert.All(files, file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
    }

    [Fact]
    public void A_log_whose_folder_is_gone_harms_nothing()
    {
        VmLog log = new(_scratch.At("gone"), null);
        log.WriteLine("a line");
        Assert.False(Directory.Exists(_scratch.At("gone")));
    }
}
