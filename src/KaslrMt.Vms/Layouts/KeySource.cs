using System.Security.Cryptography;
using KaslrMt.Layout;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>Reads a tenant key from a file or standard input; never from argv.</summary>
internal static class KeySource
{
    // The longest key and a line end; more is no key file.
    private const int MaximumSize = 4096;

    /// <summary>Reads the key.</summary>
    /// <param name="path">A file that only its owner can read, or <c>-</c> for standard input.</param>
    /// <exception cref="KaslrMtException">KMT9002 (cannot be read, open to others), KMT11xx (not a key, weak).</exception>
    public static TenantKey Read(string path)
    {
        var bytes = new byte[MaximumSize];
        try
        {
            int length = path == "-" ? ReadAll(Console.OpenStandardInput(), bytes) : ReadFile(path, bytes);
            ReadOnlySpan<byte> text = bytes.AsSpan(0, length);
            text = text.EndsWith("\n"u8) ? text[..^1] : text;
            text = text.EndsWith("\r"u8) ? text[..^1] : text;
            return TenantKey.Parse(text);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(bytes);
        }
    }

    private static int ReadFile(string path, byte[] bytes)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (SecretFile.Exposure(stream.SafeFileHandle) is { } exposure)
            {
                throw new KaslrMtException(VmErrors.KeyFile, $"tenant key file {path} {exposure}", $"make it the file of who runs kaslrmt, and chmod 600 {path}");
            }

            return ReadAll(stream, bytes);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            string reason = Directory.Exists(path) ? "it is a folder" : FileProblem.Reason(error);
            throw new KaslrMtException(
                VmErrors.KeyFile, $"tenant key file {path} cannot be read: {reason}", "make one, or give another", error);
        }
    }

    private static int ReadAll(Stream stream, byte[] bytes)
    {
        int length = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        return length < bytes.Length
            ? length
            : throw new KaslrMtException(VmErrors.KeyFile, $"the tenant key's input has {MaximumSize} bytes or more", "give one line with the key alone");
    }
}
