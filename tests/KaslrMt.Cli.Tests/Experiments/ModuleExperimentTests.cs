using System.Text;
using KaslrMt.Cli.Experiments.Modules;
using KaslrMt.Guests;

namespace KaslrMt.Cli.Tests.Experiments;

public sealed class ModuleExperimentTests
{
    // The names come from a guest's memory and go to a root shell of another one.
    [Theory]
    [InlineData("a b")]
    [InlineData("$(reboot)")]
    [InlineData("x\ny")]
    [InlineData("-r")]
    [InlineData("../x")]
    [InlineData("")]
    [InlineData("é")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    public void What_is_no_modules_name_is_not_listed(string name) =>
        Assert.Equal("loop\n8021q\nsnd-hda\n", Encoding.ASCII.GetString(ModuleListArchive.List(["loop", name, "8021q", "loop", "snd-hda"])));

    [Fact]
    public void A_page_counts_as_equal_when_every_boot_has_its_content()
    {
        PageFingerprint[][] boots = [[Page(1), Page(1), Page(2), Page(3)], [Page(1), Page(2)], [Page(4), Page(1)]];
        Assert.Equal(0.5, ModuleReport.Outcome.EqualShare(boots));
        Assert.Equal(0, ModuleReport.Outcome.EqualShare([[], []]));
    }

    private static PageFingerprint Page(ulong value) => new(value, value);
}
