using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using KaslrMt.Cli.Output;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>Where an experiment keeps what it has measured, so that an interrupted one goes on where it stopped. This process's alone while it is open.</summary>
internal sealed class ExperimentFolder : IDisposable
{
    private const string SettingsFile = "experiment.json";
    private const string KeyFile = "key";
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const int LargestFile = 16 << 20;

    private readonly FileStream _lock;

    private ExperimentFolder(string path, FileStream held)
    {
        Path = path;
        _lock = held;
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>Begins an experiment in a new or empty folder, or goes on with it in the folder it was begun in.</summary>
    /// <exception cref="KaslrMtException">KMT6021 when the folder is another's; KMT6024 when another process works in it; KMT2601, KMT2602.</exception>
    public static ExperimentFolder Open(string path, ExperimentSettings settings)
    {
        string full = System.IO.Path.GetFullPath(path);
        string file = System.IO.Path.Combine(full, SettingsFile);
        if (File.Exists(full))
        {
            throw new KaslrMtException(SharingErrors.ExperimentOtherExperiment, $"{full} is no folder", "give another --output");
        }

        Directory.CreateDirectory(full, Private);
        if (!File.Exists(file) && Directory.EnumerateFileSystemEntries(full).Any(entry => System.IO.Path.GetFileName(entry) != "lock"))
        {
            throw new KaslrMtException(SharingErrors.ExperimentOtherExperiment, $"{full} holds something else than an experiment", "give another --output");
        }

        FileStream held = Hold(full);
        try
        {
            var folder = new ExperimentFolder(full, held);
            if (folder.Read(SettingsFile, ExperimentJson.Default.ExperimentSettings) is { } begun)
            {
                Compare(full, begun, settings);
            }
            else
            {
                // First: a folder with something else in it and without this would be taken for no experiment's.
                folder.Write(SettingsFile, settings, ExperimentJson.Default.ExperimentSettings);
            }

            Directory.CreateDirectory(folder.In("probes"), Private);
            return folder;
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    /// <summary>The file of a guest's fingerprints.</summary>
    public string ProbeFile(string label) => In(System.IO.Path.Combine("probes", $"{label}.kmt"));

    /// <summary>The key of the experiment's tenant: drawn once, kept (mode 0600) until <see cref="ForgetKey"/>, because all guests of a policy need the same.</summary>
    /// <exception cref="KaslrMtException">KMT6027 when the file is damaged; KMT2601, KMT2602.</exception>
    public TenantKey Key()
    {
        if (File.Exists(In(KeyFile)))
        {
            try
            {
                return TenantKey.Parse(File.ReadAllBytes(In(KeyFile)));
            }
            catch (KaslrMtException error)
            {
                throw Damaged(KeyFile, error);
            }
        }

        TenantKey key = TenantKey.Generate();
        using WholeFile file = WholeFile.Create(In(KeyFile));
        file.Write(key.Reveal(), 0);
        file.Commit();
        return key;
    }

    /// <summary>Whether guests were booted with a key that is still there.</summary>
    public bool HasKey => File.Exists(In(KeyFile));

    /// <summary>Removes the key once no further guest needs it.</summary>
    public void ForgetKey() => File.Delete(In(KeyFile));

    /// <summary>Writes a text.</summary>
    /// <exception cref="KaslrMtException">KMT2601, KMT2602.</exception>
    public void Write(string name, string text)
    {
        using WholeFile file = WholeFile.Create(In(name));
        file.Write(Encoding.UTF8.GetBytes(text), 0);
        file.Commit();
    }

    /// <summary>Writes JSON.</summary>
    /// <exception cref="KaslrMtException">KMT2601, KMT2602.</exception>
    public void Write<T>(string name, T value, JsonTypeInfo<T> type) => Write(name, JsonSerializer.Serialize(value, type) + "\n");

    /// <summary>Reads JSON; null where there is no such file.</summary>
    /// <exception cref="KaslrMtException">KMT6027 when it is damaged.</exception>
    public T? Read<T>(string name, JsonTypeInfo<T> type)
        where T : class
    {
        var file = new FileInfo(In(name));
        try
        {
            return !file.Exists ? null
                : file.Length <= LargestFile ? StrictJson.Read(File.ReadAllBytes(file.FullName), type)
                : throw new JsonException("too large");
        }
        catch (JsonException error)
        {
            throw Damaged(name, error);
        }
    }

    /// <summary>The error of a file that does not hold what it should.</summary>
    public KaslrMtException Damaged(string name, Exception? cause = null) =>
        new(SharingErrors.ExperimentDamaged, $"{In(name)} is damaged", "remove it, or give another --output", cause);

    /// <summary>Lets other processes in.</summary>
    public void Dispose() => _lock.Dispose();

    private static FileStream Hold(string path)
    {
        try
        {
            // FileShare.None is an advisory lock (flock) that ends with its process.
            return new FileStream(System.IO.Path.Combine(path, "lock"), new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                BufferSize = 0,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
        }
        catch (IOException error) when (FileProblem.IsHeldByAnother(error))
        {
            throw new KaslrMtException(SharingErrors.ExperimentFolderInUse, $"another process works in {path}", "wait until it has ended, or give another --output", error);
        }
    }

    private static void Compare(string path, ExperimentSettings begun, ExperimentSettings settings)
    {
        JsonElement then = JsonSerializer.SerializeToElement(begun, ExperimentJson.Default.ExperimentSettings);
        JsonElement now = JsonSerializer.SerializeToElement(settings, ExperimentJson.Default.ExperimentSettings);
        Dictionary<string, string> kept = then.EnumerateObject().ToDictionary(property => property.Name, property => property.Value.ToString());
        Dictionary<string, string> wanted = now.EnumerateObject().ToDictionary(property => property.Name, property => property.Value.ToString());
        string[] differing = [.. kept.Keys.Union(wanted.Keys).Where(name => kept.GetValueOrDefault(name) != wanted.GetValueOrDefault(name)).Order(StringComparer.Ordinal)];
        if (differing.Length > 0)
        {
            string first = differing[0];
            throw new KaslrMtException(
                SharingErrors.ExperimentOtherExperiment,
                $"{path} holds an experiment with other settings ({string.Join(", ", differing)}): {first} was {Printable.Of(kept.GetValueOrDefault(first) ?? "nothing", 80)} and is {Printable.Of(wanted.GetValueOrDefault(first) ?? "nothing", 80)}",
                "give another --output, or the settings it was begun with");
        }
    }

    private string In(string name) => System.IO.Path.Combine(Path, name);
}
