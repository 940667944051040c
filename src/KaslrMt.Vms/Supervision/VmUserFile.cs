using System.Text.Json;
using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;

namespace KaslrMt.Vms;

/// <summary>Whose rights a VM has, kept in its folder for its next boot and its next supervisor. The caller's specification has no part in it.</summary>
internal static class VmUserFile
{
    private const string FileName = "user";
    private const int LargestFile = 1 << 20;

    /// <summary>Keeps the rights; nothing where they are this process's own.</summary>
    public static void Write(VmFolder folder, ProcessUser? user)
    {
        if (user is not null)
        {
            using WholeFile file = WholeFile.Create(Path.Combine(folder.Path, FileName));
            file.Write(JsonSerializer.SerializeToUtf8Bytes(user, VmUserJson.Default.ProcessUser), 0);
            file.Commit();
        }
    }

    /// <summary>Gets the rights; null where they are this process's own.</summary>
    /// <exception cref="KaslrMtException">KMT9013: the file cannot be understood. The VM must not get other rights instead.</exception>
    public static ProcessUser? Read(VmFolder folder)
    {
        var file = new FileInfo(Path.Combine(folder.Path, FileName));
        if (!file.Exists)
        {
            return null;
        }

        try
        {
            return file.Length > LargestFile ? throw new JsonException() : JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), VmUserJson.Default.ProcessUser) ?? throw new JsonException();
        }
        catch (JsonException error)
        {
            throw new KaslrMtException(VmErrors.SpecInvalid, $"{file.FullName} does not tell whose rights the VM has", inner: error);
        }
    }
}

/// <summary>Writes and reads <see cref="ProcessUser"/> without reflection.</summary>
[JsonSerializable(typeof(ProcessUser))]
internal sealed partial class VmUserJson : JsonSerializerContext;
