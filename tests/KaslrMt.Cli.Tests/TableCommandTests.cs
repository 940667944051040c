using System.Text.Json.Nodes;
using KaslrMt.Cli.Tables;
using KaslrMt.Layout;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Tests;

/// <summary>The commands over the tenant table, and how they find it.</summary>
public sealed class TableCommandTests : IDisposable
{
    private static readonly UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly Scratch _scratch = new();
    private readonly string _store;

    public TableCommandTests()
    {
        Directory.CreateDirectory(_scratch.At("db"), Private);
        _store = $"sqlite:{_scratch.At("db/tenants.db")}";
    }

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_tenants_life_is_told_by_every_command()
    {
        Assert.Equal("no tenant\n", (await Succeeds("tenant", "list")).Output);
        await using (TenantTable table = await OpenAsync())
        {
            (await table.StartAsync("acme", "web1", Policy.Default, "6.12.1-x")).Dispose();
            (await table.StartAsync("acme", "web2", Policy.Default)).Dispose();

            JsonNode list = JsonNode.Parse((await Succeeds("tenant", "list", "--json")).Output)!;
            Assert.Equal(("acme", 2, 1), ((string)list[0]!["name"]!, (long)list[0]!["vms"]!, (long)list[0]!["generation"]!));
            Assert.Contains("web2", (await Succeeds("tenant", "show", "acme")).Output, StringComparison.Ordinal);
            Assert.Contains("6.12.1-x", (await Succeeds("ps", "--tenant", "acme")).Output, StringComparison.Ordinal);
            Assert.Equal(2, JsonNode.Parse((await Succeeds("ps", "--all", "--json")).Output)!.AsArray().Count);
            Assert.Contains("run on", (await Succeeds("tenant", "rotate", "acme")).Output, StringComparison.Ordinal);
            Assert.Contains("pending", (await Succeeds("tenant", "list")).Output, StringComparison.Ordinal);
            (await Kaslrmt.CallAsync("tenant", "remove", "acme", "--store", _store)).FailedWith("KMT4008", 4);
            JsonNode hosts = JsonNode.Parse((await Succeeds("host", "list", "--json")).Output)!;
            Assert.True((bool)hosts[0]!["this"]! && (bool)hosts[0]!["alive"]!);
            (await Kaslrmt.CallAsync("host", "evict", (string)hosts[0]!["id"]!, "--store", _store)).FailedWith("KMT4012", 4);

            // No table is wider than a terminal of 80 columns, as far as it can help it.
            foreach (string[] words in (string[][])[["tenant", "list"], ["host", "list"], ["ps", "--all"]])
            {
                Assert.All((await Succeeds(words)).Output.Split('\n'), line => Assert.InRange(line.Length, 0, 80));
            }

            (await table.StopAsync("web1")).Dispose();
            (await table.StopAsync("web2")).Dispose();
        }

        JsonNode removal = JsonNode.Parse((await Succeeds("tenant", "remove", "acme", "--json")).Output)!;
        Assert.Equal(("acme", true), ((string)removal["name"]!, (bool)removal["removed"]!));
        (await Kaslrmt.CallAsync("tenant", "show", "acme", "--store", _store)).FailedWith("KMT4003", 2);
    }

    [Fact]
    public async Task A_VM_in_doubt_is_forgotten_on_an_operators_word()
    {
        await using TenantTable table = await OpenAsync();
        using Outcome started = await table.StartAsync("acme", "web1", Policy.Default);
        (await Kaslrmt.CallAsync("stop", "web1", "--store", _store)).FailedWith("KMT9001", 2);

        // While its process lives, in whichever runtime directory, nobody's word makes it gone.
        (await Kaslrmt.CallAsync("stop", "web1", "--forget", "--store", _store)).FailedWith("KMT4006", 4);
        Assert.Contains("not here", (await Succeeds("ps")).Output, StringComparison.Ordinal);
        (await table.ReportRunningAsync("web1", started.Vm!.Incarnation, [ProcessMark.Current with { PidNamespace = "pid:[1]" }])).Dispose();
        await Succeeds("stop", "web1", "--forget");
        Assert.False((await table.Store.FindTenantAsync("acme"))!.HasKey);
        (await Kaslrmt.CallAsync("stop", "web1", "--forget", "--store", _store)).FailedWith("KMT4004", 2);
    }

    [Fact]
    public async Task The_key_encryption_key_is_rotated_while_a_VM_runs()
    {
        await using TenantTable table = await OpenAsync();
        using Outcome first = await table.StartAsync("acme", "web1", Policy.Default);
        Assert.Contains("has version ", (await Succeeds("store", "rekey", "--add-key")).Output, StringComparison.Ordinal);
        Assert.StartsWith("1 key(s)", (await Succeeds("store", "rekey")).Output, StringComparison.Ordinal);
        using Outcome second = await table.StartAsync("acme", "web2", Policy.Default);
        Assert.Equal(first.TenantKey!.Reveal(), second.TenantKey!.Reveal());
    }

    [Fact]
    public async Task A_store_is_checked_scrubbed_and_copied()
    {
        Assert.Contains(": sound, scrubbed", (await Succeeds("store", "check", "--scrub")).Output, StringComparison.Ordinal);
        Assert.True((bool)JsonNode.Parse((await Succeeds("store", "check", "--json")).Output)!["sound"]!);
        string copy = _scratch.At("copy.db");
        JsonNode backup = JsonNode.Parse((await Succeeds("store", "backup", copy, "--json")).Output)!;
        Assert.Equal((copy, new FileInfo(copy).Length), ((string)backup["file"]!, (long)backup["bytes"]!));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(copy));
        Assert.NotEqual(0, (await Kaslrmt.CallAsync("store", "backup", copy, "--store", _store)).Code);
    }

    [Theory]
    [InlineData("KMT4003", 2, "tenant", "rotate", "nobody")]
    [InlineData("KMT4002", 2, "tenant", "show", "a b")]
    [InlineData("KMT4002", 2, "ps", "--tenant", "../x")]
    [InlineData("KMT4003", 2, "ps", "--tenant", "nobody")]
    [InlineData("KMT4010", 2, "host", "evict", "h-0000000000000000")]
    public async Task What_is_unknown_or_illegal_is_a_numbered_error(string number, int code, params string[] words) =>
        (await Kaslrmt.CallAsync([.. words, "--store", _store])).FailedWith(number, code);

    [Theory]
    [InlineData("mysql:x")]
    [InlineData("sqlite:")]
    [InlineData("etcd://")]
    public async Task A_store_that_is_none_is_refused(string store) => (await Kaslrmt.CallAsync("tenant", "list", "--store", store)).FailedWith("KMT4001", 2);

    [Fact]
    public async Task A_store_asked_for_by_a_VM_that_has_its_key_elsewhere_is_refused()
    {
        Call call = await Kaslrmt.CallAsync("run", "--tenant", "acme", "--store", _store, "--kernel", "/no", "--tenant-key-file", _scratch.Key);
        call.FailedWith("KMT9001", 2);
        Assert.False(File.Exists(_scratch.At("db/tenants.db")));
    }

    [Fact]
    public void The_configuration_file_gives_every_setting()
    {
        TableSettings settings = HostConfiguration.Load(_scratch.Write("config", """
            # a cluster

            store = etcds://a:2379,b:2379/x
            key-encryption-key-file=/etc/kaslrmt/kek
            etcd-authority-file = /etc/a.pem
            etcd-certificate-file = /etc/c.pem
            etcd-certificate-key-file = /etc/k.pem
            etcd-user = kaslrmt
            etcd-password-file = /etc/p
            etcd-compact = no
            lease = 60s
            """)).Table;
        Assert.Equal(("etcds://a:2379,b:2379/x", "/etc/kaslrmt/kek", TimeSpan.FromMinutes(1)), (settings.Store, settings.KeyFile, settings.Lease));
        Assert.Equal(("/etc/a.pem", "/etc/c.pem", "/etc/k.pem"), (settings.Etcd.AuthorityFile, settings.Etcd.CertificateFile, settings.Etcd.CertificateKeyFile));
        Assert.Equal(("kaslrmt", "/etc/p", false), (settings.Etcd.User, settings.Etcd.PasswordFile, settings.Etcd.CompactAfterPurge));
    }

    [Theory]
    [InlineData("store = mysql:x")]
    [InlineData("store = sqlite:relative")]
    [InlineData("stor = sqlite:/x")]
    [InlineData("lease = 1")]
    [InlineData("lease = soon")]
    [InlineData("etcd-compact = maybe")]
    [InlineData("etcd-user =")]
    [InlineData("nonsense")]
    [InlineData("= x")]
    [InlineData("lease = 30")]
    public void A_wrong_line_of_the_configuration_file_is_named(string line)
    {
        // The last of them is right, and stands there twice.
        string path = _scratch.Write("config", $"# first\nlease = 30\n{line}\n");
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => HostConfiguration.Load(path));
        Assert.Equal(9014, error.Code.Number);
        Assert.Contains($"{path}, line 3: ", error.Message, StringComparison.Ordinal);
    }

    private async Task<Call> Succeeds(params string[] words)
    {
        Call call = await Kaslrmt.CallAsync([.. words, "--store", _store]);
        Assert.True(call.Code == 0, call.Error);
        return call;
    }

    private Task<TenantTable> OpenAsync() => TenantTable.OpenAsync(new TableSettings { Store = _store });
}
