using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace KaslrMt.Tenants.Etcd;

/// <summary>TLS as the configuration wants it.</summary>
internal static class EtcdTls
{
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdTls"/> when a file cannot be read or is none.</exception>
    internal static SslClientAuthenticationOptions Options(EtcdAccess access)
    {
        var options = new SslClientAuthenticationOptions();
        try
        {
            if (access.AuthorityFile is { } authority)
            {
                var authorities = new X509Certificate2Collection();
                authorities.ImportFromPemFile(authority);
                options.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
                options.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
            }

            if (access.CertificateFile is { } certificate)
            {
                SecretFile.RequirePrivate(access.CertificateKeyFile ?? certificate, TenantErrors.EtcdTls, "client key for etcd");
                options.ClientCertificates = [X509Certificate2.CreateFromPemFile(certificate, access.CertificateKeyFile)];
            }

            return options;
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(TenantErrors.EtcdTls, $"a TLS file for etcd cannot be read ({e.Message})", "check the configured PEM files", e);
        }
    }
}
