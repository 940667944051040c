using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>The configuration file's keys of the agent.</summary>
public sealed class HostConfigurationTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Grants_name_users_and_groups_by_number_or_name()
    {
        HostConfiguration read = Load("allow = acme: 12345, root, @23457", "allow=web:@root", "allow = acme: 7");
        Assert.Equal(3, read.Grants.Length);
        Assert.Equal("acme", read.Grants[0].Tenant);
        Assert.Equal([12345u, 0u], read.Grants[0].Users.ToArray());
        Assert.Equal([23457u], read.Grants[0].Groups.ToArray());
        Assert.Equal([0u], read.Grants[1].Groups.ToArray());
        Assert.True(read.Grants[0].Covers(5, [1, 23457]));
        Assert.True(read.Grants[0].Covers(12345, []));
        Assert.False(read.Grants[0].Covers(23457, [12345]));
    }

    [Fact]
    public void Each_key_is_read()
    {
        HostConfiguration read = Load("# a comment", "", "receive = 192.0.2.1:7777", "vm-user = 990:991", "  lease =  9s ", "store = sqlite:/x/t.db", "key-encryption-key-file = /x/kek");
        Assert.Equal("192.0.2.1:7777", read.Receive);
        Assert.Equal("990:991", read.VmUser);
        Assert.Equal(TimeSpan.FromSeconds(9), read.Table.Lease);
        Assert.Equal("sqlite:/x/t.db", read.Table.Store);
        Assert.Equal("/x/kek", read.Table.KeyFile);
        Assert.Empty(read.Grants);
    }

    [Fact]
    public void Nothing_is_granted_where_nothing_is_written()
    {
        Assert.Empty(HostConfiguration.Load(null).Grants);
        Assert.Null(HostConfiguration.Load(null).Receive);
        Assert.Empty(Load().Grants);
    }

    [Theory]
    [InlineData("allow")]
    [InlineData("allow =")]
    [InlineData("allow = acme")]
    [InlineData("allow = acme:")]
    [InlineData("allow = : 5")]
    [InlineData("allow = ac/me: 5")]
    [InlineData("allow = acme: ,")]
    [InlineData("allow = acme: no-such-user-here")]
    [InlineData("allow = acme: @no-such-group-here")]
    [InlineData("allow = acme: @")]
    [InlineData("allow = acme: -1")]
    [InlineData("allow = acme: 4294967296")]
    [InlineData("allow = acme: 4294967295")]
    [InlineData("receive = nowhere")]
    [InlineData("receive = 192.0.2.1:0")]
    [InlineData("receive = 192.0.2.1:70000")]
    [InlineData("vm-user =")]
    [InlineData("vm-user = no-such-user-here")]
    [InlineData("vm-user = 1000")]
    [InlineData("vm-user = 1:2:3")]
    [InlineData("vm-user = 1:4294967295")]
    [InlineData("lease = soon")]
    [InlineData("lease = 1")]
    [InlineData("unknown = 1")]
    [InlineData("= 1")]
    [InlineData("\0\u0001\u001b[31m")]
    public void A_malformed_line_is_named_with_file_and_line(string line)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => Load("# one", "", line));
        Assert.Equal(VmErrors.Configuration, error.Code);
        Assert.StartsWith($"{_scratch.At("config")}, line 3: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(error.Message, char.IsControl);
    }

    [Theory]
    [InlineData("receive = 192.0.2.1:7")]
    [InlineData("vm-user = 99:99")]
    public void A_key_is_given_once(string line)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => Load(line, line));
        Assert.StartsWith($"{_scratch.At("config")}, line 2: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_too_large_or_a_folder_is_refused()
    {
        Assert.Equal(VmErrors.Configuration, Assert.Throws<KaslrMtException>(() => Load(new string('#', 70_000))).Code);
        Assert.Equal(VmErrors.Configuration, Assert.Throws<KaslrMtException>(() => HostConfiguration.Load(_scratch.Folder)).Code);
    }

    private HostConfiguration Load(params string[] lines) => HostConfiguration.Load(_scratch.Write("config", string.Join('\n', lines)));
}
