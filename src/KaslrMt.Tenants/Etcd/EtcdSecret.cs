namespace KaslrMt.Tenants;

/// <summary>Files that hold a secret for etcd: a password, a client's private key.</summary>
internal static class EtcdSecret
{
    /// <summary>Refuses a file that is not its owner's alone.</summary>
    /// <param name="path">The file.</param>
    /// <param name="code">The error to raise.</param>
    /// <param name="what">What the file is.</param>
    /// <exception cref="KaslrMtException">With the code given.</exception>
    /// <exception cref="IOException">There is no such file.</exception>
    public static void RequirePrivate(string path, ErrorCode code, string what)
    {
        if (SecretFile.Exposure(path) is { } exposure)
        {
            throw new KaslrMtException(code, $"the {what} {path} {exposure}", $"make it the file of who runs kaslrmt, and chmod 600 {path}");
        }
    }
}
