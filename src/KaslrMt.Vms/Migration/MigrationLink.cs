using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>What supervisors tell each other besides the guest's state.</summary>
/// <param name="Host">The speaker's host in the tenant table.</param>
/// <param name="Problem">Why it cannot be; null where it can.</param>
internal sealed record LinkMessages(string? Host = null, string? Problem = null);

/// <summary>What a frame is.</summary>
internal enum LinkFrame : byte
{
    /// <summary>The VM, as <see cref="MigrationHeader"/>: the source's first.</summary>
    Vm = 1,

    /// <summary>Bytes of the guest's state, or of QEMU's answers. None at all is their end.</summary>
    State = 2,

    /// <summary>The destination's QEMU awaits the guest.</summary>
    Ready = 3,

    /// <summary>The guest stands still at the source and is whole at the destination, which may take it.</summary>
    Go = 4,

    /// <summary>The destination has it.</summary>
    Taken = 5,
}

/// <summary>A connection between the supervisors of two hosts of one tenant table: encrypted, and each proves that it has the hosts' key-encryption key.</summary>
/// <remarks>
/// The source sends magic, key version and a nonce of 32 bytes, the destination a nonce of its own. HKDF of the key-encryption key with both nonces gives a key for
/// each direction. Then frames: the ciphertext's length in four bytes, which is authenticated too, and AES-256-GCM under a counter, so that none can be
/// left out, repeated or moved. There is no forward secrecy: who has recorded the stream and later gets the key-encryption key can read it.
/// </remarks>
internal sealed class MigrationLink : IDisposable
{
    /// <summary>The most bytes of one frame.</summary>
    public const int LargestFrame = MigrationHeader.LargestSize;

    private const int NonceSize = 32, TagSize = 16;

    private static readonly TimeSpan HandshakePatience = TimeSpan.FromSeconds(10);

    private readonly Stream _stream;
    private readonly AesGcm _sealing;
    private readonly AesGcm _opening;
    private readonly SemaphoreSlim _turn = new(1);
    private ulong _sent;
    private ulong _received;

    private MigrationLink(Stream stream, AesGcm sealing, AesGcm opening) => (_stream, _sealing, _opening) = (stream, sealing, opening);

    private static ReadOnlySpan<byte> Magic => "kaslrmt1"u8;

    /// <summary>Begins as the source. The stream is the link's from here on.</summary>
    /// <exception cref="KaslrMtException">KMT9018: the other hangs up, or is none.</exception>
    public static Task<MigrationLink> ToAsync(Stream stream, KeyRing keys, CancellationToken cancellationToken) => ShakeAsync(stream, async limited =>
    {
        byte[] hello = new byte[Magic.Length + sizeof(int) + NonceSize];
        Magic.CopyTo(hello);
        BinaryPrimitives.WriteInt32LittleEndian(hello.AsSpan(Magic.Length), keys.Newest);
        RandomNumberGenerator.Fill(hello.AsSpan(Magic.Length + sizeof(int)));
        await stream.WriteAsync(hello, limited).ConfigureAwait(false);
        byte[] nonce = new byte[NonceSize];
        await stream.ReadExactlyAsync(nonce, limited).ConfigureAwait(false);
        byte[] salt = [.. hello.AsSpan(Magic.Length + sizeof(int)), .. nonce];
        return new MigrationLink(stream, Cipher(keys, keys.Newest, salt, "to"u8), Cipher(keys, keys.Newest, salt, "from"u8));
    }, cancellationToken);

    /// <summary>Begins as the destination.</summary>
    /// <exception cref="KaslrMtException">KMT9018, KMT4034.</exception>
    public static Task<MigrationLink> FromAsync(Stream stream, KeyRing keys, CancellationToken cancellationToken) => ShakeAsync(stream, async limited =>
    {
        byte[] hello = new byte[Magic.Length + sizeof(int) + NonceSize];
        await stream.ReadExactlyAsync(hello, limited).ConfigureAwait(false);
        if (!hello.AsSpan().StartsWith(Magic))
        {
            throw new EndOfStreamException();
        }

        int version = BinaryPrimitives.ReadInt32LittleEndian(hello.AsSpan(Magic.Length));
        byte[] nonce = RandomNumberGenerator.GetBytes(NonceSize);
        byte[] salt = [.. hello.AsSpan(Magic.Length + sizeof(int)), .. nonce];
        var link = new MigrationLink(stream, Cipher(keys, version, salt, "from"u8), Cipher(keys, version, salt, "to"u8));
        await stream.WriteAsync(nonce, limited).ConfigureAwait(false);
        return link;
    }, cancellationToken);

    /// <summary>Sends a frame.</summary>
    /// <exception cref="IOException">The connection broke, or this link was hung up.</exception>
    public async Task SendAsync(LinkFrame kind, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            byte[] plain = [(byte)kind, .. bytes.Span];
            byte[] frame = new byte[sizeof(int) + plain.Length + TagSize];
            BinaryPrimitives.WriteInt32LittleEndian(frame, plain.Length);
            _sealing.Encrypt(
                Counter(_sent++), plain, frame.AsSpan(sizeof(int), plain.Length), frame.AsSpan(sizeof(int) + plain.Length), frame.AsSpan(0, sizeof(int)));
            CryptographicOperations.ZeroMemory(plain);

            // Once begun it is sent whole, or the link is of no use any more.
            await _stream.WriteAsync(frame, CancellationToken.None).ConfigureAwait(false);
        }
        catch (ObjectDisposedException hungUp)
        {
            throw new IOException("this side hung up", hungUp);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Sends words.</summary>
    public Task SendAsync(LinkFrame kind, LinkMessages words, CancellationToken cancellationToken) =>
        SendAsync(kind, JsonSerializer.SerializeToUtf8Bytes(words, MigrationHeaderJson.Default.LinkMessages), cancellationToken);

    /// <summary>Takes the next frame.</summary>
    /// <exception cref="KaslrMtException">KMT9018: the connection ended, or what came is not the other's.</exception>
    public async Task<(LinkFrame Kind, byte[] Bytes)> ReceiveAsync(CancellationToken cancellationToken)
    {
        try
        {
            byte[] length = new byte[sizeof(int)];
            await _stream.ReadExactlyAsync(length, cancellationToken).ConfigureAwait(false);
            int size = BinaryPrimitives.ReadInt32LittleEndian(length);
            if (size is < 1 or > LargestFrame + 1)
            {
                throw new EndOfStreamException();
            }

            byte[] body = new byte[size + TagSize];
            await _stream.ReadExactlyAsync(body, cancellationToken).ConfigureAwait(false);
            byte[] plain = new byte[size];
            _opening.Decrypt(Counter(_received++), body.AsSpan(0, size), body.AsSpan(size), plain, length);
            return ((LinkFrame)plain[0], plain[1..]);
        }
        catch (Exception error) when (error is IOException or CryptographicException or ObjectDisposedException)
        {
            throw Broken(error);
        }
    }

    /// <summary>The words of a frame.</summary>
    public static LinkMessages WordsOf(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, MigrationHeaderJson.Default.LinkMessages) ?? new LinkMessages();
        }
        catch (JsonException error)
        {
            throw Broken(error);
        }
    }

    /// <summary>Hangs up.</summary>
    public void Dispose()
    {
        _stream.Dispose();
        _sealing.Dispose();
        _opening.Dispose();
    }

    private static async Task<MigrationLink> ShakeAsync(Stream stream, Func<CancellationToken, Task<MigrationLink>> shake, CancellationToken cancellationToken)
    {
        using var limited = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limited.CancelAfter(HandshakePatience);
        try
        {
            return await shake(limited.Token).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            throw error is IOException or OperationCanceledException ? Broken(error) : error;
        }
    }

    private static KaslrMtException Broken(Exception cause) => new(
        VmErrors.Link,
        $"the connection between the two hosts broke ({(cause is CryptographicException ? "what came does not open" : cause.Message)})",
        "see what the other host says; both need the same key-encryption key",
        cause);

    private static AesGcm Cipher(KeyRing keys, int version, byte[] salt, ReadOnlySpan<byte> direction)
    {
        Span<byte> key = stackalloc byte[32];
        keys.Derive(version, salt, [.. "kaslrmt/v1/migration/"u8, .. direction], key);
        var cipher = new AesGcm(key, TagSize);
        CryptographicOperations.ZeroMemory(key);
        return cipher;
    }

    private static byte[] Counter(ulong number)
    {
        byte[] nonce = new byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(nonce, number);
        return nonce;
    }
}
