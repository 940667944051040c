using Grpc.Core;
using KaslrMt.Tenants.Etcd.Api;

namespace KaslrMt.Tenants.Etcd;

/// <summary>The token that etcd gives for the user and password; none where the access names no user.</summary>
internal sealed class EtcdLogin(EtcdAccess access)
{
    private volatile string? _token;

    internal string? Token => _token;

    /// <summary>Gets whether a call needs a token that is not there yet.</summary>
    internal bool IsNeeded => access.User is not null && _token is null;

    internal void Forget() => _token = null;

    /// <summary>Logs in at a member.</summary>
    /// <returns>The token.</returns>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdDenied"/>: the password file is not private, or etcd refused the password.</exception>
    /// <exception cref="RpcException">The member did not answer.</exception>
    internal async Task<string?> RenewAsync(EtcdMember member, CallOptions options)
    {
        string password = await PasswordAsync(options.CancellationToken).ConfigureAwait(false);
        try
        {
            AuthenticateResponse answer = await member.Users.AuthenticateAsync(new AuthenticateRequest { Name = access.User, Password = password }, options).ConfigureAwait(false);
            return _token = answer.Token.Length > 0 ? answer.Token : throw EtcdFault.NotEtcd("a login without a token");
        }
        catch (RpcException error) when (error.StatusCode is StatusCode.InvalidArgument or StatusCode.FailedPrecondition or StatusCode.PermissionDenied)
        {
            throw new EtcdFault(error).ToException();
        }
    }

    private async Task<string> PasswordAsync(CancellationToken cancellationToken)
    {
        if (access.PasswordFile is not { } file)
        {
            return "";
        }

        try
        {
            SecretFile.RequirePrivate(file, TenantErrors.EtcdDenied, "password file for etcd");
            return (await File.ReadAllTextAsync(file, cancellationToken).ConfigureAwait(false)).TrimEnd('\r', '\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(TenantErrors.EtcdDenied, $"the password file for etcd cannot be read ({e.Message})", "check the configured file", e);
        }
    }
}
