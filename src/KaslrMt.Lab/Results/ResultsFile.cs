using System.Text.Json;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Experiments.Modules;

namespace KaslrMt.Lab.Results;

/// <summary>Reads what an experiment kept, or what a command printed with <c>--json</c>. Nothing in it is believed to be well-formed.</summary>
internal static class ResultsFile
{
    /// <summary>The file of an experiment's folder.</summary>
    public const string Name = "results.json";

    // 64 policies take 82 kB, 30 guests in three modes 37 kB.
    private const int LargestFile = 8 << 20;
    private const string Remedy = "give an experiment's folder, or a file that 'sharing --json' or an experiment's --json wrote";

    /// <summary>Reads a folder's results, or a file.</summary>
    /// <returns>A <see cref="RegionsReport"/>, <see cref="CurveReport"/>, <see cref="ModuleReport"/> or <see cref="SharingReport"/>.</returns>
    /// <exception cref="KaslrMtException">KMT9019 when there is none, it is too large, damaged, or something else.</exception>
    public static object Read(string path)
    {
        string file = Directory.Exists(path) ? Path.Combine(path, Name) : path;
        byte[] content = Load(file);
        try
        {
            using JsonDocument document = JsonDocument.Parse(content);
            return ResultsShape.Find(file, Parse(file, document.RootElement));
        }
        catch (JsonException error)
        {
            string place = error.LineNumber is long line ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"line {line + 1}") : Printable.Of(error.Message, 160);
            throw Bad(file, $"is damaged or no results of this program ({place})", error);
        }
    }

    /// <summary>The error of a file that cannot be shown.</summary>
    public static KaslrMtException Bad(string file, string problem, Exception? cause = null) =>
        new(LabErrors.Results, $"{Printable.Of(file, 200)} {problem}", Remedy, cause);

    private static byte[] Load(string file)
    {
        try
        {
            using FileStream stream = File.OpenRead(file);
            byte[] content = new byte[LargestFile + 1];
            int length = stream.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
            return length <= LargestFile ? content[..length] : throw Bad(file, "is larger than results can be (8 MiB)");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw Bad(file, $"cannot be read: {FileProblem.Reason(error)}", error);
        }
    }

    // The reports carry no name of their kind; each has a member that no other has.
    private static object Parse(string file, JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw Bad(file, "is no results of this program");
        }

        StrictJson.Check(root);
        return root switch
        {
            _ when root.TryGetProperty("policies", out _) => StrictJson.Read(root, LabJson.Default.RegionsReport),
            _ when root.TryGetProperty("modes", out _) => StrictJson.Read(root, LabJson.Default.CurveReport),
            _ when root.TryGetProperty("options", out _) => StrictJson.Read(root, LabJson.Default.ModuleReport),
            _ when root.TryGetProperty("saveableBytes", out _) => StrictJson.Read(root, LabJson.Default.SharingReport),
            _ => throw Bad(file, "is no results of this program"),
        };
    }
}
