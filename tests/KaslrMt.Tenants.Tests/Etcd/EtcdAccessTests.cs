using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Nodes;
using KaslrMt.Tenants.Etcd;
using KaslrMt.TestSupport.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>How a host gets into etcd, and that it is told apart why it does not.</summary>
public sealed class EtcdAccessTests : IDisposable
{
    private static readonly EtcdAccess Quick = new() { RequestTimeout = TimeSpan.FromSeconds(20), Patience = TimeSpan.FromSeconds(40) };

    private readonly Scratch _scratch = Scratch.InMemory();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Tls_with_client_certificates_works_and_without_them_or_under_another_authority_is_refused()
    {
        Certificates ours = new(_scratch, "ours");
        Certificates theirs = new(_scratch, "theirs");
        using var cluster = new Tls(ours);
        EtcdAccess good = Quick with { AuthorityFile = ours.Authority, CertificateFile = ours.Certificate, CertificateKeyFile = ours.Key };
        await using (ITenantStore store = await OpenAsync(cluster, good))
        {
            await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
            await store.StartAsync("acme", "v1");
            await Table.SoundAsync(store);
            Assert.StartsWith("etcds://", store.Location, StringComparison.Ordinal);
        }

        EtcdAccess impatient = good with { Patience = TimeSpan.FromSeconds(1) };
        await Table.RefusedAsync(TenantErrors.EtcdTls, () => OpenAsync(cluster, impatient with { AuthorityFile = theirs.Authority }));
        await Table.RefusedAsync(TenantErrors.EtcdTls, () => OpenAsync(cluster, impatient with { AuthorityFile = null }));
        await Table.RefusedAsync(TenantErrors.EtcdTls, () => OpenAsync(cluster, impatient with { CertificateFile = _scratch.At("missing") }));
        await Table.RefusedAsync(TenantErrors.EtcdTls, () => OpenAsync(cluster, impatient with { CertificateFile = null, CertificateKeyFile = null }));
        await Table.RefusedAsync(
            TenantErrors.EtcdTls, () => OpenAsync(cluster, impatient with { CertificateFile = theirs.Certificate, CertificateKeyFile = theirs.Key }));
        string plain = cluster.Location("plain").Replace("etcds://", "etcd://", StringComparison.Ordinal);
        KeyRingFile keys = new(_scratch.At("kek-plain"), MayCreate: true);
        await Table.RefusedAsync(TenantErrors.EtcdTls, async () => await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(plain), impatient, keys));

        File.SetUnixFileMode(ours.Key, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead);
        await Table.RefusedAsync(TenantErrors.EtcdTls, () => OpenAsync(cluster, good));
    }

    [Fact]
    public async Task User_and_password_are_taken_and_what_the_role_may_not_is_refused()
    {
        using var cluster = new EtcdCluster();
        string password = RandomNumberGenerator.GetHexString(16);
        await cluster.CallAsync("/v3/auth/user/add", new JsonObject { ["name"] = "root", ["password"] = password });
        await cluster.CallAsync("/v3/auth/user/grant", new JsonObject { ["user"] = "root", ["role"] = "root" });
        await cluster.CallAsync("/v3/auth/user/add", new JsonObject { ["name"] = "stranger", ["password"] = password });
        await cluster.CallAsync("/v3/auth/user/add", new JsonObject { ["name"] = "host", ["password"] = password });
        await cluster.CallAsync("/v3/auth/role/add", new JsonObject { ["name"] = "table" });
        await cluster.CallAsync("/v3/auth/role/grant", new JsonObject
        {
            ["name"] = "table",
            ["perm"] = new JsonObject
            {
                ["permType"] = "READWRITE",
                ["key"] = Gateway.Encode("/kaslrmt/"),
                ["range_end"] = Gateway.Encode("/kaslrmt0"),
            },
        });
        await cluster.CallAsync("/v3/auth/user/grant", new JsonObject { ["user"] = "host", ["role"] = "table" });
        await cluster.CallAsync("/v3/auth/enable", []);
        File.WriteAllText(_scratch.At("password"), password + "\n");
        File.WriteAllText(_scratch.At("wrong"), "wrong\n");
        File.WriteAllText(_scratch.At("open"), password + "\n");
        foreach (string secret in (string[])["password", "wrong"])
        {
            File.SetUnixFileMode(_scratch.At(secret), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        File.SetUnixFileMode(_scratch.At("open"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);

        EtcdAccess good = Quick with { User = "root", PasswordFile = _scratch.At("password") };
        await using ITenantStore store = await OpenAsync(cluster, good);
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        await store.StartAsync("acme", "v1");
        await Table.SoundAsync(store);
        await Table.RefusedAsync(TenantErrors.EtcdDenied, () => OpenAsync(cluster, good with { PasswordFile = _scratch.At("wrong") }));
        await Table.RefusedAsync(TenantErrors.EtcdDenied, () => OpenAsync(cluster, good with { PasswordFile = _scratch.At("open") }));
        await Table.RefusedAsync(TenantErrors.EtcdDenied, () => OpenAsync(cluster, good with { PasswordFile = _scratch.At("missing") }));
        await Table.RefusedAsync(TenantErrors.EtcdDenied, () => OpenAsync(cluster, good with { User = "stranger" }));
        await Table.RefusedAsync(TenantErrors.EtcdDenied, () => OpenAsync(cluster, good with { User = null }));

        // A role for the prefix is enough for all but defragmenting.
        await using (ITenantStore limited = await OpenAsync(cluster, good with { User = "host" }))
        {
            await limited.RenewHostAsync(Table.HostB, Table.Lease, Table.Tester);
            await limited.StartAsync("beta", "v3", "h-b");
            await limited.DoAsync(new StopVm("v3"));
            await Table.SoundAsync(limited);
            await Table.RefusedAsync(TenantErrors.EtcdDenied, () => limited.ScrubAsync());
        }

        // Tokens of etcd's simple kind end with the member that gave them.
        cluster.Nodes[0].Kill();
        cluster.Nodes[0].Start();
        await store.StartAsync("acme", "v2");
    }

    [Fact]
    public async Task A_full_quota_is_a_numbered_error_nothing_is_lost_and_a_scrub_makes_room()
    {
        using var cluster = new SmallQuota();
        await using ITenantStore store = await OpenAsync(cluster, Quick);
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        string key = await store.StartAsync("acme", "kept");
        string filler = Convert.ToBase64String(new byte[512 << 10]);
        GatewayFault full = await Assert.ThrowsAsync<GatewayFault>(async () =>
        {
            for (int i = 0; i < 100; i++)
            {
                await cluster.CallAsync("/v3/kv/put", new JsonObject { ["key"] = Gateway.Encode("filler"), ["value"] = filler });
            }
        });
        Assert.Equal(GatewayFault.ResourceExhausted, full.Status);
        await Table.RefusedAsync(TenantErrors.EtcdFull, () => store.StartAsync("acme", "refused"));

        int alive = (await store.VmsAsync().AllAsync()).Count;
        await store.ScrubAsync();
        JsonElement alarms = await cluster.CallAsync("/v3/maintenance/alarm", new JsonObject { ["action"] = "GET" });
        string member = alarms.GetProperty("alarms")[0].GetProperty("memberID").GetString()!;
        await cluster.CallAsync("/v3/maintenance/alarm", new JsonObject { ["action"] = "DEACTIVATE", ["memberID"] = member, ["alarm"] = "NOSPACE" });
        Assert.Equal(key, await store.StartAsync("acme", "after"));
        Assert.Equal(alive + 1, (await store.VmsAsync().AllAsync()).Count);
        await Table.SoundAsync(store);
    }

    [Theory]
    [InlineData("etcd://a,b:1234/x/y/", "etcd://a:2379,b:1234/x/y")]
    [InlineData("etcds://a:1", "etcds://a:1/kaslrmt")]
    public void Locations_are_understood(string given, string meant) => Assert.Equal(meant, EtcdLocation.Parse(given).ToString());

    [Theory]
    [InlineData("etcd://")]
    [InlineData("etcd:///prefix")]
    [InlineData("etcd://user:secret@host/")]
    [InlineData("etcd://a,,b")]
    public void Locations_that_are_none_are_refused_without_quoting_a_password(string given)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => EtcdLocation.Parse(given));
        Assert.Equal(TenantErrors.LocationInvalid, error.Code);
        Assert.DoesNotContain("secret", error.Message, StringComparison.Ordinal);
    }

    private async Task<ITenantStore> OpenAsync(EtcdCluster cluster, EtcdAccess access) =>
        await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(cluster.Location("kaslrmt")), access, _scratch.Keys());

    private sealed class SmallQuota() : EtcdCluster(1, "http", "--quota-backend-bytes", $"{4 << 20}");

    private sealed class Tls(Certificates certificates) : EtcdCluster(
        1, "https", "--cert-file", certificates.Server, "--key-file", certificates.ServerKey, "--trusted-ca-file", certificates.Authority, "--client-cert-auth");

    /// <summary>An authority, the certificate of a server and that of a client, each good for its own use only.</summary>
    private sealed class Certificates
    {
        private const string ServerUse = "1.3.6.1.5.5.7.3.1", ClientUse = "1.3.6.1.5.5.7.3.2";

        internal Certificates(Scratch scratch, string name)
        {
            Authority = scratch.At($"{name}-ca.pem");
            DateTimeOffset from = DateTimeOffset.UtcNow.AddHours(-1);
            using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest($"CN={name} authority", authorityKey, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            using X509Certificate2 authority = request.CreateSelfSigned(from, from.AddDays(2));
            File.WriteAllText(Authority, authority.ExportCertificatePem());
            (Server, ServerKey) = Issue(scratch, $"{name}-server", authority, ServerUse);
            (Certificate, Key) = Issue(scratch, name, authority, ClientUse);
        }

        internal string Authority { get; }

        internal string Server { get; }

        internal string ServerKey { get; }

        internal string Certificate { get; }

        internal string Key { get; }

        private static (string Certificate, string Key) Issue(Scratch scratch, string name, X509Certificate2 authority, string use)
        {
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var leaf = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
            var names = new SubjectAlternativeNameBuilder();
            names.AddIpAddress(IPAddress.Loopback);
            leaf.CertificateExtensions.Add(names.Build());
            leaf.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(use)], false));
            using X509Certificate2 certificate = leaf.Create(authority, authority.NotBefore, authority.NotBefore.AddDays(1), RandomNumberGenerator.GetBytes(8));
            (string certificateFile, string keyFile) = (scratch.At($"{name}.pem"), scratch.At($"{name}.key"));
            File.WriteAllText(certificateFile, certificate.ExportCertificatePem());
            File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
            File.SetUnixFileMode(keyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return (certificateFile, keyFile);
        }
    }
}
