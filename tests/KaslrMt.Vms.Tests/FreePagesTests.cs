using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Vms.Tests;

/// <summary><c>--free-pages zeroed</c> is what the guest's kernel really does, or refused.</summary>
public sealed class FreePagesTests
{
    [Theory]
    [InlineData("", "init_on_free=1")]
    [InlineData("console=ttyS0 -- init_on_free=0", "init_on_free=1 console=ttyS0 -- init_on_free=0")]
    [InlineData("quiet init_on_free=1", "quiet init_on_free=1")]
    [InlineData("init-on-free=off init_on_free=on", "init-on-free=off init_on_free=on")]
    [InlineData("page_poison=0", "init_on_free=1 page_poison=0")]
    [InlineData("note=\"init_on_free=0\"", "init_on_free=1 note=\"init_on_free=0\"")]
    public void The_kernel_is_told_once_and_before_what_is_inits(string line, string expected)
    {
        using GuestCommandLine given = GuestCommandLine.Parse(line);
        Assert.Equal(expected, FreePagesSetting.Complete(given, FreePages.Zeroed));
        Assert.Equal(line, FreePagesSetting.Complete(given, FreePages.Kept));
    }

    [Theory]
    [InlineData("init_on_free=0")]
    [InlineData("init_on_free=1 init-on-free=off")]
    [InlineData("init_on_free")]
    [InlineData("page_poison=1")]
    [InlineData("page-poison=on")]
    public void A_line_that_undoes_it_is_refused(string line)
    {
        using GuestCommandLine given = GuestCommandLine.Parse(line);
        Assert.Equal(CoreErrors.Usage, Assert.Throws<KaslrMtException>(() => FreePagesSetting.Complete(given, FreePages.Zeroed)).Code);
        Assert.Equal(line, FreePagesSetting.Complete(given, FreePages.Kept));
    }

    [Theory]
    [InlineData("5.3.0")]
    [InlineData("5.3-rc1")]
    [InlineData("5.10.0-30-cloud-amd64")]
    [InlineData("6.1.0-56-cloud-amd64")]
    [InlineData("10.0")]
    public void Kernels_that_can_are_taken(string release)
    {
        FreePagesSetting.Require(FreePages.Zeroed, release);
        FreePagesSetting.Require(FreePages.Kept, release);
    }

    [Theory]
    [InlineData("5.2.21")]
    [InlineData("4.19.0-27-amd64")]
    [InlineData("5")]
    [InlineData("6x.1")]
    [InlineData("")]
    public void Kernels_that_cannot_or_do_not_say_are_refused(string release)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => FreePagesSetting.Require(FreePages.Zeroed, release));
        Assert.Equal(VmErrors.NoZeroing, error.Code);
        Assert.Contains("5.3", error.Problem, StringComparison.Ordinal);
        FreePagesSetting.Require(FreePages.Kept, release);
    }
}
