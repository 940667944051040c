using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace KaslrMt.Tenants.Etcd;

/// <summary>TLS to etcd, as the configuration asks for it.</summary>
internal static class EtcdTls
{
    private static readonly TimeSpan ProbePatience = TimeSpan.FromSeconds(1);

    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdTls"/> when a file cannot be read or is malformed.</exception>
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

    /// <summary>Finds out whether TLS keeps an endpoint from answering: it takes TLS only, or hangs up after the handshake.</summary>
    /// <returns>The reason; null where TLS is not the reason.</returns>
    /// <remarks>A server that misses a client certificate says so behind the handshake, and plain HTTP gets no answer: both look like a broken connection.</remarks>
    internal static async Task<string?> ExplainAsync(Uri endpoint, EtcdAccess access, CancellationToken cancellationToken)
    {
        using var limited = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limited.CancelAfter(ProbePatience);
        bool speaks = false;
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(endpoint.Host, endpoint.Port, limited.Token).ConfigureAwait(false);
            using var tls = new SslStream(client.GetStream());
            SslClientAuthenticationOptions options = Options(access);
            options.TargetHost = endpoint.Host;

            // Only asked whether it speaks TLS; nothing is told to it.
            options.RemoteCertificateValidationCallback = (_, _, _, _) => speaks = true;
            await tls.AuthenticateAsClientAsync(options, limited.Token).ConfigureAwait(false);
            if (endpoint.Scheme == Uri.UriSchemeHttps)
            {
                _ = await tls.ReadAsync(new byte[1], limited.Token).ConfigureAwait(false);
                return Refused(endpoint, access);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // It waits for a request, as it should.
            return speaks && endpoint.Scheme == Uri.UriSchemeHttp ? NotPlain(endpoint) : null;
        }
        catch (Exception e) when (e is IOException or SocketException or AuthenticationException)
        {
            return !speaks ? null : endpoint.Scheme == Uri.UriSchemeHttps ? Refused(endpoint, access) : NotPlain(endpoint);
        }

        return NotPlain(endpoint);
    }

    private static string NotPlain(Uri endpoint) => $"{endpoint.Authority} speaks TLS only, and the location says etcd://, not etcds://";

    private static string Refused(Uri endpoint, EtcdAccess access) => access.CertificateFile is null
        ? $"{endpoint.Authority} hangs up: it wants a client certificate, and none is configured"
        : $"{endpoint.Authority} hangs up: it does not take this host's certificate";
}
