using System.Security.Cryptography;
using System.Text;
using KaslrMt.Layout;

namespace KaslrMt.Guests.Tests.Audit;

/// <summary>A secret, and every large enough piece of it, is found wherever it lies in memory, once; and nothing else is.</summary>
public sealed class SecretSearchTests
{
    private const string Key = "T9xk2LmQ8vRz4WcJ7nBd5Hfs";

    [Fact]
    public void The_key_is_found_at_every_offset()
    {
        using TenantKey key = TenantKey.Parse(Key);
        using SecretTraces traces = SecretTraces.Of(key);
        SecretSearch search = new(traces);
        for (int offset = 0; offset < 64; offset++)
        {
            byte[] block = new byte[128];
            Encoding.ASCII.GetBytes(Key).CopyTo(block, offset);
            Assert.Equal([("the tenant key", offset, Key.Length)], Find(search, traces, block));
        }
    }

    [Fact]
    public void A_short_key_is_found_at_every_offset_too()
    {
        using TenantKey key = TenantKey.Parse(Key.AsSpan(0, 10));
        using SecretTraces traces = SecretTraces.Of(key);
        SecretSearch search = new(traces);
        for (int offset = 0; offset < 32; offset++)
        {
            byte[] block = new byte[64];
            Encoding.ASCII.GetBytes(Key[..10]).CopyTo(block, offset);
            Assert.Equal([("the tenant key", offset, 10)], Find(search, traces, block));
        }
    }

    [Fact]
    public void Fifteen_bytes_of_anything_derived_are_found_and_eleven_are_not()
    {
        using TenantKey key = TenantKey.Parse(Key);
        using VmSeed seed = VmSeed.Generate();
        using SecretTraces traces = SecretTraces.Of(key, seed);
        SecretSearch search = new(traces);
        Assert.True(traces.Count > 20);
        for (int trace = 0; trace < traces.Count; trace++)
        {
            for (int offset = 0; offset < 8; offset++)
            {
                byte[] block = RandomNumberGenerator.GetBytes(64);
                traces.Reveal(trace).Slice(traces.Reveal(trace).Length - 15, 15).CopyTo(block.AsSpan(16 + offset));
                Assert.Contains(Find(search, traces, block), find => find.At <= 16 + offset && find.At + find.Length >= 16 + offset + 15);
                traces.Reveal(trace)[^11..].CopyTo((block = new byte[64]).AsSpan(16 + offset));
                Assert.DoesNotContain(Find(search, traces, block), find => !find.Name.Contains("UTF-16", StringComparison.Ordinal));
            }
        }
    }

    [Fact]
    public void The_whole_memory_is_searched_across_its_blocks()
    {
        FakeMemory memory = new(3 << 20);
        using TenantKey key = TenantKey.Parse(Key);
        using SecretTraces traces = SecretTraces.Of(key);
        int[] places = [0, (1 << 20) - 5, (2 << 20) - 24, (3 << 20) - 24];
        foreach (int place in places)
        {
            Encoding.ASCII.GetBytes(Key).CopyTo(memory.Ram[place..]);
        }

        SortedSet<long> found = [];
        KeyCheck.Search(memory, new SecretSearch(traces), (address, _, length) => Assert.True(found.Add((long)address.Value) && length == Key.Length));
        Assert.Equal(places.Select(place => (long)place), found);
    }

    private static List<(string Name, int At, int Length)> Find(SecretSearch search, SecretTraces traces, byte[] block)
    {
        List<(string, int, int)> found = [];
        search.In(block, (trace, at, length) => found.Add((traces.NameOf(trace), at, length)));
        return found;
    }
}
