using System.Security.Cryptography;
using System.Text;

namespace KaslrMt.Tenants;

/// <summary>This host's identity in the table.</summary>
/// <param name="Id">Unique: <c>h-</c> and 16 hexadecimal digits.</param>
/// <param name="Name">The host's name, for people.</param>
/// <param name="BootId">The kernel's id of this boot.</param>
public sealed record HostIdentity(string Id, string Name, string BootId)
{
    private const int RandomSize = 16;

    /// <summary>
    /// Reads the identity kept in a state directory, making it where it is missing. It follows from random bytes in the file <c>host</c> and from <c>/etc/machine-id</c>: two state
    /// directories of a machine are two hosts, and so are a machine and its clone, whose machine-id systemd renews.
    /// </summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.HostIdentity"/>.</exception>
    public static HostIdentity Load(string stateDirectory)
    {
        string path = Path.Combine(stateDirectory, "host");
        try
        {
            if (!File.Exists(path))
            {
                PrivateFile.Create(path, Encoding.ASCII.GetBytes(RandomNumberGenerator.GetHexString(2 * RandomSize, lowercase: true) + "\n"));
            }

            byte[] random = Convert.FromHexString(File.ReadAllText(path).Trim());
            string machine = File.Exists("/etc/machine-id") ? File.ReadAllText("/etc/machine-id").Trim() : "";
            byte[] digest = HMACSHA256.HashData(random, Encoding.UTF8.GetBytes(machine));
            return new HostIdentity($"h-{Convert.ToHexStringLower(digest.AsSpan(0, 8))}", Environment.MachineName, ProcessMark.CurrentBootId);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            throw new KaslrMtException(
                TenantErrors.HostIdentity,
                $"this host's identity in {path} cannot be read or made ({e.Message})",
                "restore the file; a new one makes this a new host, and the old one's VMs must be evicted",
                e);
        }
    }
}
