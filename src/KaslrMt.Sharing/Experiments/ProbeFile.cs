using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;
using KaslrMt.Guests;

namespace KaslrMt.Sharing;

/// <summary>A file of <see cref="ProbePages"/>: <c>KMTPROBE1</c>, the number of pages (32 bits), then compressed (Brotli) all classes, all places, all fingerprints.</summary>
/// <remarks>Written whole or not at all, mode 0600: an interrupted experiment goes on behind the last whole file.</remarks>
public static class ProbeFile
{
    private const int MaxPages = PageFrames.MaxCount >> 4;
    private const int HeaderSize = 13;

    private static ReadOnlySpan<byte> Magic => "KMTPROBE1"u8;

    /// <summary>Writes.</summary>
    /// <exception cref="KaslrMtException">KMT2601, KMT2602: the disk is full, or the folder not writable.</exception>
    public static void Write(string path, ProbePages pages)
    {
        ArgumentNullException.ThrowIfNull(pages);
        using var packed = new MemoryStream();
        Span<byte> header = stackalloc byte[HeaderSize];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header[Magic.Length..], pages.Count);
        packed.Write(header);
        using (var brotli = new BrotliStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            brotli.Write(MemoryMarshal.AsBytes(pages.Classes.AsSpan()));
            brotli.Write(MemoryMarshal.AsBytes(Differences(pages.Places).AsSpan()));
            brotli.Write(MemoryMarshal.AsBytes(pages.Fingerprints.AsSpan()));
        }

        using WholeFile file = WholeFile.Create(path);
        file.Write(packed.GetBuffer().AsSpan(0, (int)packed.Length), 0);
        file.Commit();
    }

    /// <summary>Reads.</summary>
    /// <exception cref="KaslrMtException">KMT6027 when it is damaged or cannot be read.</exception>
    public static ProbePages Read(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            Span<byte> header = stackalloc byte[HeaderSize];
            file.ReadExactly(header);
            int count = BinaryPrimitives.ReadInt32LittleEndian(header[Magic.Length..]);
            if (!header.StartsWith(Magic) || count is < 0 or > MaxPages)
            {
                throw Damaged(path, null);
            }

            using var brotli = new BrotliStream(file, CompressionMode.Decompress);
            PageClass[] classes = Array<PageClass>(brotli, count);
            ulong[] places = Array<ulong>(brotli, count);
            PageFingerprint[] fingerprints = Array<PageFingerprint>(brotli, count);
            if (brotli.ReadByte() >= 0 || MemoryMarshal.AsBytes(classes.AsSpan()).ContainsAnyExceptInRange((byte)PageClass.KernelCode, (byte)PageClass.OtherKernel))
            {
                throw Damaged(path, null);
            }

            for (int i = 1; i < count; i++)
            {
                places[i] += places[i - 1];
            }

            return new ProbePages(classes, places, fingerprints);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or InvalidDataException or InvalidOperationException)
        {
            throw Damaged(path, error);
        }
    }

    // Neighbours in RAM are mostly neighbours in their region: the differences are ones.
    private static ulong[] Differences(ulong[] places)
    {
        var differences = new ulong[places.Length];
        for (int i = 0; i < places.Length; i++)
        {
            differences[i] = places[i] - (i == 0 ? 0 : places[i - 1]);
        }

        return differences;
    }

    // In pieces: a damaged count must not make a large allocation before the bytes are there.
    private static T[] Array<T>(Stream stream, int count)
        where T : unmanaged
    {
        const int Piece = 1 << 16;
        T[] all = [];
        for (int done = 0; done < count;)
        {
            int next = Math.Min(count - done, Math.Max(Piece, done));
            System.Array.Resize(ref all, done + next);
            stream.ReadExactly(MemoryMarshal.AsBytes(all.AsSpan(done, next)));
            done += next;
        }

        return all;
    }

    private static KaslrMtException Damaged(string path, Exception? cause) =>
        new(SharingErrors.ExperimentDamaged, $"{path} is no whole file of fingerprints", "remove it and run the experiment again: it measures that guest anew", cause);
}
