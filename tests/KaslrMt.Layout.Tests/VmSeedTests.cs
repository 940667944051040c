namespace KaslrMt.Layout.Tests;

public class VmSeedTests
{
    private const string Hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    [Fact]
    public void Sixty_four_hexadecimal_digits_in_either_case_are_a_seed()
    {
        using var seed = VmSeed.FromHex(Hex);
        Assert.Equal(Convert.FromHexString(Hex), seed.Reveal().ToArray());
    }

    [Theory]
    [InlineData("", "found 0 characters")]
    [InlineData("00112233445566778899aabbccddeeff", "found 32 characters")]
    [InlineData("00112233445566778899aabbccddeeff00112233445566778899aabbccddeef", "found 63 characters")]
    [InlineData("0x112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "character 2")]
    [InlineData("00112233445566778899aabbccddeeff00112233445566778899aabbccddee f", "character 63")]
    [InlineData("00112233445566778899aabbccddeeff00112233445566778899aabbccddee\uff11\uff11", "character 63")]
    public void Anything_else_is_wrong_usage_and_its_content_is_not_shown(string text, string said)
    {
        KaslrMtException failure = SampleVms.Fails(LayoutErrors.SeedMalformed, () => VmSeed.FromHex(text));
        Assert.Contains(said, failure.Problem, StringComparison.Ordinal);
        Assert.Equal(ErrorCategory.Usage, failure.Category);
        Assert.DoesNotContain("8899aabb", failure.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Generated_seeds_differ_and_disposed_ones_are_zeroed()
    {
        using var one = VmSeed.Generate();
        var other = VmSeed.Generate();
        Assert.NotEqual(one.Reveal().ToArray(), other.Reveal().ToArray());
        ReadOnlySpan<byte> alias = other.Reveal();
        Assert.Equal(VmSeed.Size, alias.Length);
        other.Dispose();
        Assert.Equal(new byte[VmSeed.Size], alias.ToArray());
        Assert.Throws<ObjectDisposedException>(() => other.Reveal().Length);
    }
}
