using System.Security.Cryptography;
using System.Text;

namespace KaslrMt.Layout.Tests;

/// <summary>A guest that reboots gets new per-VM bases, the same on every host and in every version: the derivation is a promise.</summary>
public sealed class VmSeedBootTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(0x01020304)]
    [InlineData(int.MaxValue)]
    public void A_later_boots_seed_is_derived_as_documented(int boot)
    {
        using VmSeed seed = SampleVms.Seed(1);
        using VmSeed derived = seed.ForBoot(boot);
        byte[] number = [(byte)(boot >> 24), (byte)(boot >> 16), (byte)(boot >> 8), (byte)boot];
        byte[] info = [.. Encoding.ASCII.GetBytes("kaslrmt/v1/boot/"), .. number];
        Assert.Equal(HKDF.DeriveKey(HashAlgorithmName.SHA256, seed.Reveal().ToArray(), VmSeed.Size, [], info), derived.Reveal().ToArray());
    }

    [Fact]
    public void The_first_boot_has_the_seed_itself_in_a_copy_of_its_own()
    {
        VmSeed seed = SampleVms.Seed(1);
        using VmSeed first = seed.ForBoot(0);
        seed.Dispose();
        Assert.Equal(SampleVms.SeedText(1), Convert.ToHexStringLower(first.Reveal()));
    }

    [Fact]
    public void There_is_no_boot_before_the_first()
    {
        using VmSeed seed = SampleVms.Seed(1);
        Assert.Throws<ArgumentOutOfRangeException>(() => seed.ForBoot(-1));
    }
}
