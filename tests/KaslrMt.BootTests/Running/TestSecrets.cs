using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace KaslrMt.BootTests.Running;

/// <summary>Tenant keys and VM seeds that all follow from one number, which failures print: <c>KASLRMT_BOOT_SEED</c> repeats a run.</summary>
internal static class TestSecrets
{
    internal static string Master { get; } = Environment.GetEnvironmentVariable("KASLRMT_BOOT_SEED") is { Length: > 0 } chosen
        ? chosen
        : RandomNumberGenerator.GetInt32(int.MaxValue).ToString(CultureInfo.InvariantCulture);

    /// <summary>A tenant's key: 24 letters and digits.</summary>
    internal static string Key(string tenant)
    {
        string text = Convert.ToBase64String(Hash($"key {tenant}"))[..28];
        return text.Replace("+", "p", StringComparison.Ordinal).Replace("/", "s", StringComparison.Ordinal);
    }

    /// <summary>A VM seed's 64 hexadecimal digits.</summary>
    internal static string Seed(string vm) => Convert.ToHexStringLower(Hash($"seed {vm}"));

    private static byte[] Hash(string label) => SHA256.HashData(Encoding.UTF8.GetBytes($"{Master} {label}"));
}
