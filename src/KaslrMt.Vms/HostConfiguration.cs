using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>The configuration file: lines <c>key = value</c>, empty ones, and ones that begin with <c>#</c>. It holds no secret, only where secrets are.</summary>
internal sealed record HostConfiguration
{
    private const string SystemFile = "/etc/kaslrmt/config";
    private const int LargestFile = 64 << 10;
    private const int LongestLease = 3600;

    /// <summary>Where the tenant table is, and how this host takes part in it.</summary>
    public TableSettings Table { get; init; } = new();

    /// <summary>Callers besides the agent's own user, and the tenants that they may act for.</summary>
    public ImmutableArray<AccessGrant> Grants { get; init; } = [];

    /// <summary>Where the agent takes migrations for its table; null for nowhere.</summary>
    public string? Receive { get; init; }

    /// <summary>The unprivileged user that root's VMs run as, or null for the default.</summary>
    public string? VmUser { get; init; }

    /// <summary>The first that exists: <c>$XDG_CONFIG_HOME/kaslrmt/config</c> (default <c>~/.config</c>), then <c>/etc/kaslrmt/config</c>; null for none.</summary>
    public static string? Find()
    {
        // The XDG specification has relative paths ignored.
        string? folder = Environment.GetEnvironmentVariable("XDG_CONFIG_HOME");
        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        string own = Path.Combine(folder is ['/', ..] ? folder : Path.Combine(home, ".config"), "kaslrmt", "config");
        return File.Exists(own) ? own : File.Exists(SystemFile) ? SystemFile : null;
    }

    /// <summary>Reads it.</summary>
    /// <param name="path">The file; null for the defaults.</param>
    /// <exception cref="KaslrMtException">KMT9014 with file and line.</exception>
    public static HostConfiguration Load(string? path)
    {
        var settings = new HostConfiguration();
        if (path is null)
        {
            return settings;
        }

        HashSet<string> seen = [];
        int number = 0;
        foreach (string whole in Read(path).Split('\n'))
        {
            number++;
            string line = whole.Trim();
            if (line.Length == 0 || line[0] == '#')
            {
                continue;
            }

            int equals = line.IndexOf('=', StringComparison.Ordinal);
            string key = line[..Math.Max(equals, 0)].TrimEnd(), value = line[(equals + 1)..].TrimStart();
            try
            {
                settings = equals < 0 || key.Length == 0 || value.Length == 0
                    ? throw new FormatException("it is not 'key = value'")
                    : seen.Add(key) || key == "allow" ? With(settings, key, value) : throw new FormatException($"'{Printable.Of(key, 40)}' was given before");
            }
            catch (Exception error) when (error is FormatException or KaslrMtException)
            {
                throw new KaslrMtException(
                    VmErrors.Configuration, $"{path}, line {number.ToString(CultureInfo.InvariantCulture)}: {error.Message}", "docs/operations.md lists the keys", error);
            }
        }

        return settings;
    }

    private static HostConfiguration With(HostConfiguration settings, string key, string value) => key switch
    {
        "allow" => settings with { Grants = settings.Grants.Add(AccessGrant.Parse(value)) },
        "receive" => settings with { Receive = LinkAddress.Parse(value, "receive").ToString() },
        "vm-user" => settings with { VmUser = User(value) },
        _ => settings with { Table = With(settings.Table, key, value) },
    };

    private static TableSettings With(TableSettings settings, string key, string value) => key switch
    {
        "store" => settings with { Store = StoreSettings.Checked(value.StartsWith("sqlite:", StringComparison.Ordinal) ? $"sqlite:{Absolute(value["sqlite:".Length..])}" : value) },
        "key-encryption-key-file" => settings with { KeyFile = Absolute(value) },
        "lease" => settings with { Lease = Seconds(value) },
        "etcd-authority-file" => settings with { Etcd = settings.Etcd with { AuthorityFile = Absolute(value) } },
        "etcd-certificate-file" => settings with { Etcd = settings.Etcd with { CertificateFile = Absolute(value) } },
        "etcd-certificate-key-file" => settings with { Etcd = settings.Etcd with { CertificateKeyFile = Absolute(value) } },
        "etcd-user" => settings with { Etcd = settings.Etcd with { User = value } },
        "etcd-password-file" => settings with { Etcd = settings.Etcd with { PasswordFile = Absolute(value) } },
        "etcd-compact" => settings with { Etcd = settings.Etcd with { CompactAfterPurge = YesOrNo(value) } },
        _ => throw new FormatException($"'{Printable.Of(key, 40)}' is no key"),
    };

    // A name of passwd(5), root among them, or USER:GROUP in numbers.
    private static string User(string value)
    {
        if (!value.Contains(':', StringComparison.Ordinal) && !char.IsAsciiDigit(value[0]))
        {
            _ = AccessGrant.NumberOf(value, "/etc/passwd", "user");
            return value;
        }

        return value.Split(':') is [var user, var group] && AccessGrant.IsNumber(user) && AccessGrant.IsNumber(group)
            ? value
            : throw new FormatException("a user is a name of this host, or USER:GROUP in numbers");
    }

    private static string Absolute(string path) => path.StartsWith('/') ? path : throw new FormatException("the path is not absolute");

    private static bool YesOrNo(string value) => value switch
    {
        "yes" => true,
        "no" => false,
        _ => throw new FormatException("it is neither yes nor no"),
    };

    private static TimeSpan Seconds(string value) =>
        int.TryParse(value.EndsWith('s') ? value[..^1] : value, NumberStyles.None, CultureInfo.InvariantCulture, out int seconds) && seconds is >= 5 and <= LongestLease
            ? TimeSpan.FromSeconds(seconds)
            : throw new FormatException($"a lease is 5 to {LongestLease} seconds");

    private static string Read(string path)
    {
        try
        {
            return new FileInfo(path).Length <= LargestFile
                ? File.ReadAllText(path, Encoding.UTF8)
                : throw new IOException("it is too large");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(VmErrors.Configuration, $"{path} cannot be read: {FileProblem.Reason(error)}", "mend or remove it", error);
        }
    }
}
