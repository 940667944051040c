using System.Security.Cryptography;

namespace KaslrMt.Layout;

/// <summary>A tenant's or VM's secrets and all that is computed on the way from them to bases, as memory could hold them: what to search a guest for.</summary>
/// <remarks>As secret as the key. Zeroed on disposal.</remarks>
public sealed class SecretTraces : IDisposable
{
    private const int StreamSize = 64;

    private readonly List<(string Name, SecretBytes Bytes)> _traces = [];

    private SecretTraces()
    {
    }

    /// <summary>How many there are.</summary>
    public int Count => _traces.Count;

    /// <summary>Computes them.</summary>
    /// <param name="key">The tenant key, or null.</param>
    /// <param name="seed">The VM's seed, or null.</param>
    public static SecretTraces Of(TenantKey? key, VmSeed? seed = null)
    {
        var traces = new SecretTraces();
        if (key is not null)
        {
            traces.Add("the tenant key", key.Reveal());
            traces.AddForms("the tenant key", key.Reveal());
            traces.AddDerived("tenant key", key.Reveal(), Scope.PerTenant);
            traces.AddPaperDigests(key.Reveal());
        }

        if (seed is not null)
        {
            traces.Add("the VM seed", seed.Reveal());
            traces.AddForms("the VM seed", seed.Reveal());
            traces.AddDerived("VM seed", seed.Reveal(), Scope.PerVm);
        }

        return traces;
    }

    /// <summary>What a trace is, in words that give nothing away.</summary>
    public string NameOf(int index) => _traces[index].Name;

    /// <summary>A trace's bytes, 10 or more. Valid until disposal.</summary>
    public ReadOnlySpan<byte> Reveal(int index) => _traces[index].Bytes.Span;

    /// <summary>Zeroes them.</summary>
    public void Dispose()
    {
        foreach ((_, SecretBytes bytes) in _traces)
        {
            bytes.Dispose();
        }
    }

    /// <summary>The type's name.</summary>
    public override string ToString() => nameof(SecretTraces);

    private void Add(string name, ReadOnlySpan<byte> bytes) => _traces.Add((name, new SecretBytes(bytes)));

    private void AddForms(string name, ReadOnlySpan<byte> secret)
    {
        var hex = new SecretBytes(2 * secret.Length);
        var upper = new SecretBytes(2 * secret.Length);
        var wide = new SecretBytes(2 * secret.Length);
        for (int i = 0; i < secret.Length; i++)
        {
            hex.Span[2 * i] = Digit(secret[i] >> 4, 'a');
            hex.Span[(2 * i) + 1] = Digit(secret[i] & 0xf, 'a');
            upper.Span[2 * i] = Digit(secret[i] >> 4, 'A');
            upper.Span[(2 * i) + 1] = Digit(secret[i] & 0xf, 'A');
            wide.Span[2 * i] = secret[i];
        }

        _traces.Add(($"{name} in hexadecimal", hex));
        _traces.Add(($"{name} in hexadecimal", upper));
        _traces.Add(($"{name} in UTF-16", wide));
    }

    private void AddDerived(string of, ReadOnlySpan<byte> secret, Scope scope)
    {
        var prk = new SecretBytes(SHA256.HashSizeInBytes);
        HkdfDraw.Extract(secret, scope, prk.Span);
        _traces.Add(($"what is derived from the {of}", prk));
        foreach (Region region in LayoutNames.Regions)
        {
            var stream = new SecretBytes(StreamSize);
            HkdfDraw.Expand(prk.Span, region, stream.Span);
            _traces.Add(($"what is derived from the {of} for {region.Name()}", stream));
        }
    }

    private void AddPaperDigests(ReadOnlySpan<byte> key)
    {
        foreach (Region region in LayoutNames.Regions)
        {
            var digest = new SecretBytes(SHA1.HashSizeInBytes);
            PaperAddressProducer.Digest(key, region, digest.Span);
            _traces.Add(($"the paper's digest of the tenant key for {region.Name()}", digest));
        }
    }

    private static byte Digit(int value, char ten) => (byte)(value < 10 ? '0' + value : ten + value - 10);
}
