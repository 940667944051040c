using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace KaslrMt.Layout.Tests;

public class GuestCommandLineTests
{
    private const string Key = "0xf32v46a2k3y";

    [Theory]
    [InlineData("kaslr_mt=0xf32v46a2k3y-110010", "")]
    [InlineData("quiet kaslr_mt=0xf32v46a2k3y-110010", "quiet")]
    [InlineData("kaslr_mt=0xf32v46a2k3y-110010 quiet", "quiet")]
    [InlineData("a kaslr_mt=0xf32v46a2k3y-110010   b", "a b")]
    [InlineData("a\tkaslr_mt=0xf32v46a2k3y-110010\nb", "a\tb")]
    [InlineData("  a  kaslr_mt=0xf32v46a2k3y-110010 b  c ", "  a  b  c")]
    [InlineData("kaslr-mt=0xf32v46a2k3y-110010 quiet", "quiet")]
    [InlineData("kaslr_mt=\"0xf32v46a2k3y-110010\" quiet", "quiet")]
    [InlineData("\"kaslr_mt=0xf32v46a2k3y-110010\" quiet", "quiet")]
    [InlineData("quiet kaslr_mt=\"0xf32v46a2k3y-110010", "quiet")]
    [InlineData("root=/dev/vda kaslr_mt=0xf32v46a2k3y-110010 -- single", "root=/dev/vda -- single")]
    [InlineData("foo=\"a b\" kaslr_mt=0xf32v46a2k3y-110010 bar=\"-- c\" d", "foo=\"a b\" bar=\"-- c\" d")]
    public void Kaslr_mt_is_obeyed_and_removed_and_everything_else_stays(string line, string left)
    {
        using var parsed = GuestCommandLine.Parse(line);
        Assert.Equal(Key, Encoding.ASCII.GetString(parsed.Key!.Reveal()));
        Assert.Equal(Policy.Default, parsed.Policy);
        Assert.Equal(left, parsed.Text);
    }

    [Theory]
    [InlineData("")]
    [InlineData("   ")]
    [InlineData("console=ttyS0 root=/dev/vda rw")]
    [InlineData("xkaslr=1 kaslr_mx=2 my.kaslr=3 kaslr=4 ")]
    [InlineData("foo=\"unclosed and more")]
    [InlineData("dyndbg=\"file drivers/usb/* +p\" -- -b emergency")]
    [InlineData("\" = \" =\" \"= \"\" \"")]
    public void A_line_without_kaslr_mt_stays_as_it_is(string line)
    {
        using var parsed = GuestCommandLine.Parse(line);
        Assert.Null(parsed.Key);
        Assert.Null(parsed.Policy);
        Assert.Equal(line, parsed.Text);
    }

    [Fact]
    public void The_bitmap_is_what_follows_the_last_dash()
    {
        using var parsed = GuestCommandLine.Parse("kaslr_mt=a-b-3-x!7-Qz9-001101");
        Assert.Equal("a-b-3-x!7-Qz9", Encoding.ASCII.GetString(parsed.Key!.Reveal()));
        Assert.Equal("001101", parsed.Policy.ToString());
    }

    [Theory]
    [InlineData("kaslr_mt", 1003, "no value")]
    [InlineData("kaslr_mt=", 1003, "no '-'")]
    [InlineData("kaslr_mt=0xf32v46a2k3y", 1003, "no '-'")]
    [InlineData("kaslr_mt=0xf32v46a2k3y110010", 1003, "no '-'")]
    [InlineData("kaslr_mt=0xf32v46a2k3y-", 1001, "found nothing")]
    [InlineData("kaslr_mt=0xf32v46a2k3y-11001", 1001, "5 digits")]
    [InlineData("kaslr_mt=first-0xf32v46a2k3y", 1001, "found 13 characters")]
    [InlineData("kaslr_mt=-110010", 1101, "has 0 characters")]
    [InlineData("kaslr_mt=short-110010", 1101, "has 5 characters")]
    [InlineData("kaslr_mt=\"0xf32v46 a2k3y-110010\"", 1103, "character 9")]
    [InlineData("kaslr_mt=0xf32v46a2k3y-110010 kaslr_mt=0xf32v46a2k3y-110010", 1004, "more than one")]
    [InlineData("kaslr_mt=0xf32v46a2k3y-110010 kaslr-mt=0xf32v46a2k3y-000000", 1004, "more than one")]
    [InlineData("quiet -- kaslr_mt=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("kaslr_mt=0xf32v46a2k3y-110010 -- kaslr_mt=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("foo=\"bar kaslr_mt=0xf32v46a2k3y-110010\"", 1005, "the guest would see the key")]
    [InlineData("foo=\"bar kaslr_mt=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("KASLR_MT=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("xkaslr_mt=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("quiet kaslr_mt_=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("quiet,kaslr_mt=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("kaslr_mt\"=0xf32v46a2k3y-110010\"", 1005, "the guest would see the key")]
    [InlineData("quiet\u00a0kaslr_mt=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("kaslrmt=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("kaslr\"_\"mt=0xf32v46a2k3y-110010", 1005, "the guest would see the key")]
    [InlineData("quiet\0 kaslr_mt=0xf32v46a2k3y-110010", 1006, "NUL")]
    public void What_cannot_be_obeyed_and_removed_is_refused_without_showing_the_key(string line, int number, string said)
    {
        KaslrMtException failure = Assert.Throws<KaslrMtException>(() => GuestCommandLine.Parse(line));
        Assert.Equal(number, failure.Code.Number);
        Assert.Contains(said, failure.Problem, StringComparison.Ordinal);
        Assert.DoesNotContain(Key, failure.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nokaslr", true)]
    [InlineData("quiet nokaslr rw", true)]
    [InlineData("nokaslr kaslr_mt=0xf32v46a2k3y-110010", true)]
    [InlineData("quiet\tnokaslr -- x", true)]
    [InlineData("quiet", false)]
    [InlineData("nokaslrx xnokaslr nokaslr=1 no_kaslr NOKASLR", false)]
    [InlineData("foo=\"a nokaslr b\"", false)]
    [InlineData("quiet -- nokaslr", false)]
    public void Nokaslr_counts_as_a_whole_word_before_the_arguments_of_init_and_stays(string line, bool disables)
    {
        using var parsed = GuestCommandLine.Parse(line);
        Assert.Equal(disables, parsed.DisablesKaslr);
        Assert.Equal(line.Contains("nokaslr", StringComparison.Ordinal), parsed.Text.Contains("nokaslr", StringComparison.Ordinal));
    }

    [Fact]
    public void The_programs_own_name_is_a_word_like_any_other()
    {
        using var parsed = GuestCommandLine.Parse("systemd.hostname=kaslrmt-1 root=/dev/vg/kaslrmt");
        Assert.Null(parsed.Key);
    }

    [Fact]
    public void Disposal_takes_the_key_with_it()
    {
        var parsed = GuestCommandLine.Parse("kaslr_mt=0xf32v46a2k3y-110010");
        parsed.Dispose();
        Assert.Throws<ObjectDisposedException>(() => parsed.Key!.Reveal().Length);
    }

    [Fact]
    public void Whatever_the_line_is_the_key_is_never_left_in_it_nor_shown_in_an_error()
    {
        string[] pieces =
            ["kaslr_mt", "kaslr-mt", "=", "\"", " ", "--", "-", Key, "-110010", "quiet", "nokaslr", "\t", "x", $"kaslr_mt={Key}-110010"];
        Arbitrary<string> lines = Gen.Elements(pieces).ListOf().Select(string.Concat).ToArbitrary();
        Prop.ForAll(lines, line =>
        {
            try
            {
                using var parsed = GuestCommandLine.Parse(line);
                return parsed.Key is null
                    ? parsed.Text == line
                    : !parsed.Text.Contains("kaslr_mt=" + Key, StringComparison.Ordinal) && parsed.Text.Length < line.Length;
            }
            catch (KaslrMtException failure)
            {
                return !failure.ToString().Contains(Key, StringComparison.Ordinal);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(5000));
    }

    [Fact]
    public void Long_hostile_lines_take_linear_time()
    {
        using var parsed = GuestCommandLine.Parse(string.Concat(Enumerable.Repeat("kaslr_mx=\"a b\" ", 200_000)));
        Assert.Null(parsed.Key);
    }

    [Theory]
    [InlineData("a=1 b", "a", "1")]
    [InlineData("a=1 b", "b", "")]
    [InlineData("a=1 b", "c", null)]
    [InlineData("a=1 a=2", "a", "2")]
    [InlineData("x-y=1 x_y=2", "x-y", "2")]
    [InlineData("a=\"1 2\" b=3", "a", "1 2")]
    [InlineData("\"a=1\"", "a", "1")]
    [InlineData("b=1 -- a=1", "a", null)]
    [InlineData("aa=1 b=a=1", "a", null)]
    [InlineData("", "a", null)]
    public void A_parameters_value_is_the_one_the_kernel_obeys(string line, string name, string? value)
    {
        using var parsed = GuestCommandLine.Parse(line);
        Assert.Equal(value, parsed.ValueOf(name));
    }
}
