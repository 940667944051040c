namespace KaslrMt.Tenants;

/// <summary>Files that hold a secret for etcd: a password, a client's private key.</summary>
internal static class SecretFile
{
    private const UnixFileMode OpenToOthers = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    /// <summary>Refuses a file that others than its owner can read or write.</summary>
    /// <param name="path">The file.</param>
    /// <param name="code">The error to raise.</param>
    /// <param name="what">What the file is.</param>
    /// <exception cref="KaslrMtException">With the code given.</exception>
    /// <exception cref="IOException">There is no such file.</exception>
    public static void RequirePrivate(string path, ErrorCode code, string what)
    {
        if ((File.GetUnixFileMode(path) & OpenToOthers) != 0)
        {
            throw new KaslrMtException(code, $"the {what} {path} is open to others than its owner", $"chmod 600 {path}");
        }
    }
}
