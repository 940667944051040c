using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace KaslrMt.Layout.Tests;

public class TenantKeyTests
{
    [Theory]
    [InlineData("0xf32v46a2k3y")] // the proof of concept's own example
    [InlineData("a1b2c3d4e5")]
    [InlineData("Tr0ub4dor&3x")]
    [InlineData("k3y-w1th-d4sh")]
    [InlineData("!\"#%(~}{[]^_")]
    [InlineData("correcthorsebattery")]
    [InlineData("83017492651029384756")] // 20 digits carry 66 bits
    public void Keys_of_ten_or_more_printable_characters_are_taken(string text)
    {
        using var key = TenantKey.Parse(text);
        using var same = TenantKey.Parse(Encoding.ASCII.GetBytes(text));
        Assert.Equal(text, Encoding.ASCII.GetString(key.Reveal()));
        Assert.True(key.Matches(same));
        Assert.True(TenantKey.TryParse(text, out TenantKey? tried));
        Assert.True(tried.Matches(key));
        tried.Dispose();
    }

    [Theory]
    [InlineData("", 1101, "has 0 characters")]
    [InlineData("x7Kp2Qm9w", 1101, "has 9 characters")]
    [InlineData("x7Kp2 Qm9wZ", 1103, "character 6 of 11")]
    [InlineData("x7Kp2Qm9wZ\n", 1103, "character 11 of 11")]
    [InlineData("x7Kp2Qm9wZ\u007f", 1103, "character 11 of 11")]
    [InlineData("x7Kp2Qm9wé", 1103, "character 10 of 10")]
    [InlineData("\0x7Kp2Qm9wZ", 1103, "character 1 of 11")]
    [InlineData("aaaaaaaaaaaa", 1104, "one character")]
    [InlineData("abababababab", 1105, "2 different")]
    [InlineData("a9!Za9!ZZ!9a", 1105, "4 different")]
    [InlineData("0123456789", 1106, "sequence")]
    [InlineData("9876543210", 1106, "sequence")]
    [InlineData("1234567890", 1106, "sequence")]
    [InlineData("abcdefghij", 1106, "sequence")]
    [InlineData("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1106, "sequence")]
    [InlineData("qwertyuiop", 1106, "sequence")]
    [InlineData("asdfghjklzxcvbnm", 1106, "sequence")]
    [InlineData("poiuytrewq", 1106, "sequence")]
    [InlineData("aabbccddee", 1106, "sequence")]
    [InlineData("abcdefg123456", 1106, "sequence")]
    [InlineData("x7Kp2x7Kp2", 1107, "piece of 5 characters")]
    [InlineData("x7Kp2Qm9x7Kp2Qm9x7K", 1107, "piece of 8 characters")]
    [InlineData("8301749265", 1108, "10 digits")]
    public void Weak_and_malformed_keys_are_refused_with_the_reason_and_without_the_key(string text, int number, string reason)
    {
        KaslrMtException failure = Assert.Throws<KaslrMtException>(() => TenantKey.Parse(text));
        Assert.Equal(number, failure.Code.Number);
        Assert.Equal(ErrorCategory.Initialization, failure.Category);
        Assert.Contains(reason, failure.Problem, StringComparison.Ordinal);
        Assert.False(TenantKey.TryParse(text, out TenantKey? none));
        Assert.Null(none);
        if (text.Length > 1 && text != "0123456789")
        {
            Assert.DoesNotContain(text, failure.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Lengths_from_10_to_256_are_taken_and_no_others()
    {
        string long256 = string.Concat(Enumerable.Range(0, 8).Select(SampleVms.KeyText));
        Assert.Equal(256, long256.Length);
        using (var key = TenantKey.Parse(long256))
        {
            Assert.Equal(256, key.Length);
        }

        SampleVms.Fails(LayoutErrors.KeyTooLong, () => TenantKey.Parse(long256 + "x"));
        SampleVms.Fails(LayoutErrors.KeyTooLong, () => TenantKey.Parse(new string('x', 1_000_000)));
        SampleVms.Fails(LayoutErrors.KeyTooLong, () => TenantKey.Parse(new byte[100_000]));
        using (var shortest = TenantKey.Parse(long256.AsSpan(0, 10)))
        {
            Assert.Equal(10, shortest.Length);
        }
    }

    [Fact]
    public void A_key_file_may_end_with_one_line_end()
    {
        foreach (string end in (string[])["", "\n", "\r\n"])
        {
            using var key = TenantKey.ParseLine(Encoding.ASCII.GetBytes("x7Kp2Qm9wZ" + end));
            Assert.Equal(10, key.Length);
        }

        foreach (string end in (string[])["\n\n", "\r", "\r\n\n", " \n"])
        {
            SampleVms.Fails(LayoutErrors.KeyCharacter, () => TenantKey.ParseLine(Encoding.ASCII.GetBytes("x7Kp2Qm9wZ" + end)));
        }

        SampleVms.Fails(LayoutErrors.KeyTooShort, () => TenantKey.ParseLine([]));
        SampleVms.Fails(LayoutErrors.KeyTooShort, () => TenantKey.ParseLine("\n"u8));
    }

    [Fact]
    public void Generated_keys_carry_at_least_128_bits_and_are_uniform_over_their_alphabet()
    {
        const int Keys = 4000;
        var counts = new Dictionary<char, int>();
        var seen = new HashSet<string>();
        for (int i = 0; i < Keys; i++)
        {
            using var key = TenantKey.Generate();
            string text = Encoding.ASCII.GetString(key.Reveal());
            Assert.True(seen.Add(text));
            Assert.Equal(TenantKey.GeneratedLength, text.Length);
            Assert.DoesNotContain('-', text);
            foreach (char character in text)
            {
                counts[character] = counts.GetValueOrDefault(character) + 1;
            }
        }

        Assert.True(TenantKey.GeneratedLength * Math.Log2(counts.Count) >= 128);
        Assert.Equal(62, counts.Count);
        var uniform = new ChiSquare(62);
        foreach ((int index, char character) in counts.Keys.Order().Index())
        {
            uniform.Observe(index, counts[character]);
        }

        // The one test here that draws fresh randomness: six standard deviations, a false alarm in 10^9 runs.
        Assert.True(uniform.IsUniform(), uniform.ToString());
    }

    [Fact]
    public void Generated_keys_pass_inside_kaslr_mt()
    {
        for (int i = 0; i < 200; i++)
        {
            using var key = TenantKey.Generate();
            using var line = GuestCommandLine.Parse($"quiet kaslr_mt={Encoding.ASCII.GetString(key.Reveal())}-110010");
            Assert.True(line.Key!.Matches(key));
        }
    }

    [Fact]
    public void Random_keys_of_ten_characters_are_next_to_never_taken_for_weak()
    {
        var random = new Random(20190811);
        int refused = 0;
        for (int i = 0; i < 100_000; i++)
        {
            byte[] key = [.. Enumerable.Range(0, 10).Select(_ => (byte)random.Next(0x21, 0x7f))];
            refused += TenantKey.TryParse(key, out TenantKey? taken) ? 0 : 1;
            taken?.Dispose();
        }

        Assert.InRange(refused, 0, 3);
    }

    [Fact]
    public void Any_bytes_are_taken_or_refused_with_a_numbered_error_that_does_not_show_them()
    {
        Prop.ForAll<byte[]>(bytes =>
        {
            try
            {
                TenantKey.Parse(bytes ?? []).Dispose();
            }
            catch (KaslrMtException failure)
            {
                Assert.InRange(failure.Code.Number, 1101, 1108);
                Assert.True((bytes ?? []).Length < 4
                    || !failure.ToString().Contains(Encoding.Latin1.GetString(bytes!), StringComparison.Ordinal));
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_disposed_key_is_zeroed_and_gone()
    {
        var key = TenantKey.Parse("x7Kp2Qm9wZ");
        ReadOnlySpan<byte> alias = key.Reveal();
        key.Dispose();
        Assert.Equal(new byte[10], alias.ToArray());
        Assert.Throws<ObjectDisposedException>(() => key.Reveal().Length);
        Assert.Throws<ObjectDisposedException>(() => SampleVms.Plan(Policy.Default, producer: new Forgetful(key)));
    }

    [Fact]
    public void Keys_are_equal_to_themselves_only_and_match_by_content()
    {
        using var one = TenantKey.Parse("x7Kp2Qm9wZ");
        using var same = TenantKey.Parse("x7Kp2Qm9wZ");
        using var other = TenantKey.Parse("x7Kp2Qm9wY");
        Assert.False(one.Equals(same));
        Assert.True(one.Matches(same));
        Assert.False(one.Matches(other));
    }

    private sealed class Forgetful(TenantKey disposed) : IAddressProducer
    {
        public string Name => "forgetful";

        public ulong DrawSlot(TenantKey key, Region region, ulong slots) => AddressProducers.Default.DrawSlot(disposed, region, slots);
    }
}
