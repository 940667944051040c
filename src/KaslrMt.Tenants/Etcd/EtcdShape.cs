namespace KaslrMt.Tenants.Etcd;

/// <summary>Answers come over a network: one of another shape than the API's is a numbered error, as any other failure of the store.</summary>
internal static class EtcdShape
{
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>.</exception>
    internal static T Read<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is KeyNotFoundException or FormatException or InvalidOperationException or OverflowException or ArgumentException)
        {
            throw new KaslrMtException(
                TenantErrors.EtcdAnswer, $"an endpoint's answer is not etcd's ({e.Message})", "check that the endpoints are etcd 3.4 or newer with its JSON gateway on", e);
        }
    }
}
