using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Vms.Detached;

/// <summary>What a new supervisor is told at standard input: the plan, the tenant key, the VM seed. Nothing of it is in argv or a file.</summary>
/// <remarks>Three parts, each behind its length in four bytes; key and seed may be empty. The seed comes as hexadecimal digits.</remarks>
internal static class SupervisorOrder
{
    private const int SeedDigits = 2 * VmSeed.Size;

    /// <summary>Sends the order.</summary>
    /// <exception cref="IOException">The supervisor ended; its own words say why.</exception>
    public static void Send(Stream pipe, DetachedPlan plan, LayoutRequest request)
    {
        Span<char> digits = stackalloc char[SeedDigits];
        Span<byte> seed = stackalloc byte[SeedDigits];
        try
        {
            SendPart(pipe, plan.ToBytes());
            SendPart(pipe, request.Key is null ? [] : request.Key.Reveal());
            if (request.Seed is null)
            {
                SendPart(pipe, []);
                return;
            }

            Convert.TryToHexString(request.Seed.Reveal(), digits, out _);
            for (int i = 0; i < SeedDigits; i++)
            {
                seed[i] = (byte)digits[i];
            }

            SendPart(pipe, seed);
        }
        finally
        {
            digits.Clear();
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    /// <summary>Takes the order.</summary>
    /// <exception cref="KaslrMtException">KMT9013: it is none; errors of key and seed.</exception>
    public static (DetachedPlan Plan, TenantKey? Key, VmSeed? Seed) Take(Stream pipe)
    {
        byte[] plan = TakePart(pipe, DetachedPlan.LargestSize);
        byte[] key = TakePart(pipe, TenantKey.MaximumLength);
        byte[] seed = TakePart(pipe, SeedDigits);
        Span<char> digits = stackalloc char[SeedDigits];
        try
        {
            for (int i = 0; i < seed.Length; i++)
            {
                digits[i] = (char)seed[i];
            }

            return (
                DetachedPlan.Of(plan),
                key.Length == 0 ? null : TenantKey.Parse(key.AsSpan()),
                seed.Length == 0 ? null : VmSeed.FromHex(digits[..seed.Length]));
        }
        finally
        {
            digits.Clear();
            CryptographicOperations.ZeroMemory(key);
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    /// <summary>Sends the order of a VM that comes from elsewhere.</summary>
    /// <exception cref="IOException">The supervisor ended; its own words say why.</exception>
    public static void Send(Stream pipe, IncomingRequest order) => SendPart(pipe, JsonSerializer.SerializeToUtf8Bytes(order, MigrationHeaderJson.Default.IncomingRequest));

    /// <summary>Takes that order.</summary>
    /// <exception cref="KaslrMtException">KMT9013: it is none.</exception>
    public static IncomingRequest TakeArrival(Stream pipe)
    {
        try
        {
            return JsonSerializer.Deserialize(TakePart(pipe, DetachedPlan.LargestSize), MigrationHeaderJson.Default.IncomingRequest) ?? throw new JsonException();
        }
        catch (JsonException error)
        {
            throw new KaslrMtException(VmErrors.Supervisor, "standard input holds no order", inner: error);
        }
    }

    private static void SendPart(Stream pipe, ReadOnlySpan<byte> part)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(length, part.Length);
        pipe.Write(length);
        pipe.Write(part);
    }

    private static byte[] TakePart(Stream pipe, int largest)
    {
        Span<byte> length = stackalloc byte[sizeof(int)];
        try
        {
            pipe.ReadExactly(length);
            int size = BinaryPrimitives.ReadInt32LittleEndian(length);
            if (size < 0 || size > largest)
            {
                throw new EndOfStreamException();
            }

            byte[] part = new byte[size];
            pipe.ReadExactly(part);
            return part;
        }
        catch (EndOfStreamException error)
        {
            throw new KaslrMtException(VmErrors.Supervisor, "standard input holds no order", "use 'kaslrmt run --detach', which starts supervisors", error);
        }
    }
}
