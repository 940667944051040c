using KaslrMt.Guests;

namespace KaslrMt.Sharing.Tests.Experiments;

/// <summary>What an experiment keeps of a guest comes back as it was, or is refused.</summary>
public sealed class ProbeFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("probes").FullName;

    private string File => Path.Combine(_folder, "probe.kmt");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(200_000)]
    public void Pages_come_back_as_they_were(int count)
    {
        ProbePages pages = Pages(count);
        ProbeFile.Write(File, pages);
        ProbePages read = ProbeFile.Read(File);
        Assert.Equal(pages.Classes, read.Classes);
        Assert.Equal(pages.Places, read.Places);
        Assert.Equal(pages.Fingerprints, read.Fingerprints);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(File));
    }

    [Fact]
    public void A_damaged_file_is_refused_by_its_number()
    {
        ProbeFile.Write(File, Pages(3000));
        byte[] whole = System.IO.File.ReadAllBytes(File);
        Refused(whole[..^100]);
        Refused(whole[..20]);
        Refused(whole[..5]);
        Refused([]);
        Refused([.. "KMTPROBE2"u8, .. whole[9..]]);
        Refused([.. whole[..9], 0xff, 0xff, 0xff, 0x03, .. whole[13..]]);
        Refused([.. whole[..9], 0xff, 0xff, 0xff, 0xff, .. whole[13..]]);
        Refused([.. whole[..9], 0xb7, 0x0b, 0, 0, .. whole[13..]]);
        Refused(null);
    }

    [Fact]
    public void A_class_that_there_is_not_is_refused()
    {
        ProbeFile.Write(File, new ProbePages([(PageClass)13], [0], [PageFingerprint.Zero]));
        Assert.Equal(SharingErrors.ExperimentDamaged, Assert.Throws<KaslrMtException>(() => ProbeFile.Read(File)).Code);
    }

    private static ProbePages Pages(int count)
    {
        var random = new Random(count);
        return new ProbePages(
            [.. Enumerable.Range(0, count).Select(_ => (PageClass)random.Next(13))],
            [.. Enumerable.Range(0, count).Select(i => i % 7 == 0 ? PageLocations.None : (ulong)random.NextInt64())],
            [.. Enumerable.Range(0, count).Select(_ => new PageFingerprint((ulong)random.NextInt64(), (ulong)random.NextInt64()))]);
    }

    private void Refused(byte[]? bytes)
    {
        if (bytes is null)
        {
            System.IO.File.Delete(File);
        }
        else
        {
            System.IO.File.WriteAllBytes(File, bytes);
        }

        Assert.Equal(SharingErrors.ExperimentDamaged, Assert.Throws<KaslrMtException>(() => ProbeFile.Read(File)).Code);
    }
}
