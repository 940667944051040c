using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Tenants;

/// <summary>The file of a host's key-encryption keys.</summary>
/// <param name="Path">The file, in the format of <see cref="KeyRing"/>.</param>
/// <param name="MayCreate">Whether it is ours to create when the store is new: the file in the state directory, where none is configured.</param>
/// <param name="Credential">Whether it is a systemd credential, whose group bits only mirror an access list for the service's user.</param>
public sealed record KeyRingFile(string Path, bool MayCreate = false, bool Credential = false)
{
    /// <summary>The environment variable that names the file.</summary>
    public const string Variable = "KASLRMT_KEK_FILE";

    /// <summary>The systemd credential's name: <c>LoadCredentialEncrypted=kaslrmt-kek</c>.</summary>
    public const string CredentialName = "kaslrmt-kek";


    /// <summary>
    /// Finds the file, the first of: the configured one, <c>$KASLRMT_KEK_FILE</c>, the systemd credential <c>kaslrmt-kek</c>, and <c>kek</c> in the state directory.
    /// </summary>
    /// <param name="stateDirectory">The state directory.</param>
    /// <param name="configured">A path from a configuration file, or null.</param>
    public static KeyRingFile Find(string stateDirectory, string? configured = null)
    {
        if ((configured ?? Environment.GetEnvironmentVariable(Variable)) is { Length: > 0 } path)
        {
            return new KeyRingFile(path);
        }

        string? credentials = Environment.GetEnvironmentVariable("CREDENTIALS_DIRECTORY");
        string credential = System.IO.Path.Combine(credentials ?? "", CredentialName);
        return !string.IsNullOrEmpty(credentials) && File.Exists(credential)
            ? new KeyRingFile(credential, Credential: true)
            : new KeyRingFile(System.IO.Path.Combine(stateDirectory, "kek"), MayCreate: true);
    }

    /// <summary>Reads the keys.</summary>
    /// <exception cref="KaslrMtException">4030–4032: others may read the file, it is malformed, or it cannot be read.</exception>
    public KeyRing Load()
    {
        byte[] text = [];
        try
        {
            using SafeFileHandle handle = File.OpenHandle(Path);
            if (SecretFile.Exposure(handle, groupMayRead: Credential) is { } exposure)
            {
                throw new KaslrMtException(
                    TenantErrors.KeyFileExposed,
                    $"the file of key-encryption keys {Path} {exposure}",
                    "make it the file of the user that runs kaslrmt, mode 0600 (chown, chmod), and replace the keys if others may have read them");
            }

            // One byte more than a ring may have tells a file that is too large.
            text = GC.AllocateUninitializedArray<byte>((int)Math.Min(RandomAccess.GetLength(handle), (64 << 10) + 1), pinned: true);
            int read = RandomAccess.Read(handle, text, 0);
            return KeyRing.Parse(text.AsSpan(0, read), Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                TenantErrors.KeyFileUnreadable,
                $"the key-encryption keys in {Path} cannot be read ({e.Message})",
                $"restore the file (on another host of this cluster: copy it from there), or name another by {Variable}",
                e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(text);
        }
    }

    /// <summary>Reads the keys of a new store: makes the first where the file is ours to create.</summary>
    /// <exception cref="KaslrMtException">As <see cref="Load"/>.</exception>
    public KeyRing LoadOrCreate()
    {
        if (MayCreate && !File.Exists(Path))
        {
            using KeyRing ring = KeyRing.Generate();
            Write(ring, replace: false);
        }

        return Load();
    }

    /// <summary>Adds a key of the next version, with which a rewrap seals anew.</summary>
    /// <returns>The new version.</returns>
    /// <exception cref="KaslrMtException">As <see cref="Load"/>.</exception>
    public int AddKey()
    {
        using KeyRing old = Load();
        using KeyRing ring = old.WithNewKey();
        Write(ring, replace: true);
        return ring.Newest;
    }

    // A crash leaves the old file or the new one, and of two creators the first wins: its keys are as good.
    private void Write(KeyRing ring, bool replace)
    {
        byte[] text = ring.Write();
        try
        {
            if (replace)
            {
                PrivateFile.Replace(Path, text);
            }
            else
            {
                PrivateFile.Create(Path, text);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                TenantErrors.KeyFileUnreadable, $"the key-encryption keys cannot be written to {Path} ({e.Message})", "check the directory and its free space", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(text);
        }
    }
}
