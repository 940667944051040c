namespace KaslrMt.Tenants.Tests;

/// <summary>Key-encryption keys: where they are found, who may read them, and that nothing shows them.</summary>
public sealed class KeyRingTests : IDisposable
{
    private readonly Scratch _scratch = Scratch.InMemory();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void The_first_key_is_made_once_and_private()
    {
        using KeyRing made = _scratch.Keys().LoadOrCreate();
        string text = File.ReadAllText(_scratch.Keys().Path);
        using KeyRing again = _scratch.Keys().LoadOrCreate();
        Assert.Equal(text, File.ReadAllText(_scratch.Keys().Path));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_scratch.Keys().Path));
        Assert.Equal(made[1].ToArray(), again[1].ToArray());
        Assert.Equal([_scratch.Keys().Path], Directory.EnumerateFiles(_scratch.Folder));
    }

    [Fact]
    public async Task A_configured_file_is_never_made_up()
    {
        KeyRingFile configured = new(_scratch.At("missing"));
        await Table.RefusedAsync(TenantErrors.KeyFileUnreadable, () => Task.Run(configured.LoadOrCreate));
        Assert.False(File.Exists(configured.Path));
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    public async Task A_file_that_others_can_read_or_write_is_refused(UnixFileMode more)
    {
        _scratch.Keys().LoadOrCreate().Dispose();
        File.SetUnixFileMode(_scratch.Keys().Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | more);
        await Table.RefusedAsync(TenantErrors.KeyFileExposed, () => Task.Run(_scratch.Keys().Load));
    }

    [Fact]
    public void A_systemd_credential_may_show_its_access_list_in_the_groups_bits_but_not_be_open_to_all()
    {
        _scratch.Keys().LoadOrCreate().Dispose();
        KeyRingFile credential = new(_scratch.Keys().Path, Credential: true);
        File.SetUnixFileMode(credential.Path, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        credential.Load().Dispose();
        File.SetUnixFileMode(credential.Path, UnixFileMode.UserRead | UnixFileMode.OtherRead);
        Assert.Equal(TenantErrors.KeyFileExposed, Assert.Throws<KaslrMtException>(credential.Load).Code);
    }

    [Theory]
    [InlineData("")]
    [InlineData("# only a comment\n")]
    [InlineData("1 00\n")]
    [InlineData("0 5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c\n")]
    [InlineData("x 5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c\n")]
    [InlineData("5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c\n")]
    [InlineData("1 5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c\n")]
    [InlineData("1 5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5z\n")]
    [InlineData("1 5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c\n1 5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c\n")]
    public void A_malformed_file_is_refused_without_quoting_it(string text)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => KeyRing.Parse(System.Text.Encoding.ASCII.GetBytes(text), "the file"));
        Assert.Equal(TenantErrors.KeyFileMalformed, error.Code);
        Assert.DoesNotContain("5c5c", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Comments_empty_lines_and_line_ends_of_all_kinds_are_taken()
    {
        using KeyRing ring = KeyRing.Parse(
            System.Text.Encoding.ASCII.GetBytes($"# ours\r\n\n 3 {new string('a', 64)}\r\n1 {new string('B', 64)}"), "the file");
        Assert.Equal([1, 3], ring.Versions);
        Assert.Equal(3, ring.Newest);
        Assert.Equal(Enumerable.Repeat((byte)0xbb, 32), ring[1].ToArray());
    }

    [Fact]
    public void What_is_written_is_read_again_and_nothing_shows_a_key()
    {
        using KeyRing ring = KeyRing.Generate();
        using KeyRing two = ring.WithNewKey();
        using KeyRing read = KeyRing.Parse(two.Write(), "memory");
        Assert.Equal([1, 2], read.Versions);
        Assert.Equal(two[2].ToArray(), read[2].ToArray());
        Assert.Equal(ring[1].ToArray(), read[1].ToArray());
        Assert.Equal(nameof(KeyRing), ring.ToString());
    }

    [Fact]
    public void The_places_have_an_order()
    {
        Assert.Equal(new KeyRingFile("/a/kek"), KeyRingFile.Find(_scratch.Folder, "/a/kek"));
        Assert.Equal(new KeyRingFile(_scratch.At("kek"), MayCreate: true), KeyRingFile.Find(_scratch.Folder));
    }

    [Fact]
    public void An_envelope_opens_only_as_it_was_sealed()
    {
        using KeyRing ring = KeyRing.Generate();
        using KeyRing both = ring.WithNewKey();
        using var envelope = new Envelope(both);
        byte[] box = envelope.Seal(1, "secret"u8, "bound"u8);
        Assert.Equal("secret"u8.ToArray(), envelope.Open(1, box, "bound"u8));
        Assert.Null(envelope.Open(2, box, "bound"u8));
        Assert.Null(envelope.Open(1, box, "bount"u8));
        Assert.Null(envelope.Open(1, box.AsSpan(0, 43), "bound"u8));
        for (int i = 0; i < box.Length; i++)
        {
            box[i] ^= 1;
            Assert.Null(envelope.Open(1, box, "bound"u8));
            box[i] ^= 1;
        }

        // Another process, which has sealed nothing, opens it as well; and the ciphers that are kept are few.
        for (int i = 0; i < 200; i++)
        {
            Assert.NotEqual(box, envelope.Seal(1, "secret"u8, "bound"u8));
        }

        using var other = new Envelope(ring);
        Assert.Equal("secret"u8.ToArray(), other.Open(1, box, "bound"u8));
        Assert.Equal("secret"u8.ToArray(), envelope.Open(1, box, "bound"u8));
    }
}
