using System.Security.Cryptography;
using System.Text;

namespace KaslrMt.Layout.Tests;

/// <summary>
/// What a guest's memory is searched for when it must hold no secret of ours. A form that is left out here is a leak that no audit finds, so each is
/// computed again from the documented derivation.
/// </summary>
public sealed class SecretTracesTests
{
    private const string KeyText = "J0zZ9!aO:o";
    private const string SeedText = "00090a0f9099a0a9aaaff0f9fafff1e2d3c4b5a6978879605142332415060718";

    private static readonly string[] Regions = ["kernel-physical", "kernel-virtual", "physmap", "vmalloc", "vmemmap", "modules"];

    [Fact]
    public void A_key_and_a_seed_are_searched_in_every_form_and_in_all_that_is_derived_from_them()
    {
        using var key = TenantKey.Parse(KeyText);
        using var seed = VmSeed.FromHex(SeedText);
        using SecretTraces traces = SecretTraces.Of(key, seed);
        List<(string Name, byte[] Bytes)> expected =
            [.. OfKey(Encoding.ASCII.GetBytes(KeyText)), .. Of("VM seed", Convert.FromHexString(SeedText), "kaslrmt/v1/per-vm")];
        Assert.Equal(expected.Count, traces.Count);
        Assert.Equal(expected.Select(trace => trace.Name), Enumerable.Range(0, traces.Count).Select(traces.NameOf));
        Assert.All(Enumerable.Range(0, traces.Count), i => Assert.Equal(expected[i].Bytes, traces.Reveal(i).ToArray()));
    }

    [Fact]
    public void Either_secret_is_searched_alone()
    {
        using var key = TenantKey.Parse(KeyText);
        using var seed = VmSeed.FromHex(SeedText);
        using SecretTraces ofKey = SecretTraces.Of(key), ofSeed = SecretTraces.Of(null, seed), none = SecretTraces.Of(null);
        Assert.Equal((17, 11, 0), (ofKey.Count, ofSeed.Count, none.Count));
        Assert.Equal(("the tenant key", "the VM seed"), (ofKey.NameOf(0), ofSeed.NameOf(0)));
    }

    [Fact]
    public void Traces_are_as_secret_as_what_they_are_of()
    {
        using var key = TenantKey.Parse(KeyText);
        SecretTraces traces = SecretTraces.Of(key);
        Assert.Equal("SecretTraces", traces.ToString());
        int count = traces.Count;
        ReadOnlySpan<byte> alias = traces.Reveal(0);
        traces.Dispose();
        Assert.Equal(new byte[KeyText.Length], alias.ToArray());
        Assert.All(Enumerable.Range(0, count), i => Assert.Throws<ObjectDisposedException>(() => traces.Reveal(i).Length));
    }

    private static IEnumerable<(string Name, byte[] Bytes)> OfKey(byte[] key) => Of("tenant key", key, "kaslrmt/v1/per-tenant").Concat(
        Regions.Zip((int[])[5, 0, 3, 4, 1, 2], (region, step) =>
        {
            byte[] number = [.. key[..^1], (byte)(key[^1] + step)];
#pragma warning disable CA5350 // As the paper does.
            return ($"the paper's digest of the tenant key for {region}", SHA1.HashData(number));
#pragma warning restore CA5350
        }));

    private static IEnumerable<(string Name, byte[] Bytes)> Of(string name, byte[] secret, string salt)
    {
        byte[] prk = HKDF.Extract(HashAlgorithmName.SHA256, secret, Encoding.ASCII.GetBytes(salt));
        return
        [
            ($"the {name}", secret),
            ($"the {name} in hexadecimal", Encoding.ASCII.GetBytes(Convert.ToHexStringLower(secret))),
            ($"the {name} in hexadecimal", Encoding.ASCII.GetBytes(Convert.ToHexString(secret))),
            ($"the {name} in UTF-16", [.. secret.SelectMany(one => (byte[])[one, 0])]),
            ($"what is derived from the {name}", prk),
            .. Regions.Select(region => (
                $"what is derived from the {name} for {region}",
                HKDF.Expand(HashAlgorithmName.SHA256, prk, 64, Encoding.ASCII.GetBytes($"kaslrmt/v1/{region}")))),
        ];
    }
}
