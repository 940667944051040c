namespace KaslrMt.Tenants;

/// <summary>Files of mode 0600 that appear under their name whole, and of which the first of several creators wins.</summary>
internal static class PrivateFile
{
    internal static void CreateEmpty(string path) => Create(path, []);

    /// <summary>Creates a file; one that is there, or comes to be there in the meantime, stays as it is.</summary>
    internal static void Create(string path, ReadOnlySpan<byte> content)
    {
        string temporary = WriteTemporary(path, content);
        try
        {
            File.Move(temporary, path, overwrite: false);
        }
        catch (IOException) when (File.Exists(path))
        {
            File.Delete(temporary);
        }
    }

    /// <summary>Replaces a file in one step.</summary>
    internal static void Replace(string path, ReadOnlySpan<byte> content) => File.Move(WriteTemporary(path, content), path, overwrite: true);

    private static string WriteTemporary(string path, ReadOnlySpan<byte> content)
    {
        string temporary = $"{path}.{Guid.NewGuid():N}";
        using var stream = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            BufferSize = 0,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        stream.Write(content);
        stream.Flush(flushToDisk: true);
        return temporary;
    }
}
