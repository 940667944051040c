using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt key new</c>: a fresh tenant key in a file.</summary>
internal static class KeyCommand
{
    public static Command Create()
    {
        Argument<string> file = new Argument<string>("FILE") { Description = "The file to write, mode 0600; must not exist" }.NotEmpty();
        var create = new Command("new", "Make a random tenant key (about 143 bits) in a new file") { file };
        create.SetAction(parsed =>
        {
            string path = parsed.GetRequiredValue(file);
            if (File.Exists(path) || Directory.Exists(path))
            {
                throw Exists(path);
            }

            using TenantKey key = TenantKey.Generate();
            using WholeFile output = WholeFile.Create(path);
            output.Write(key.Reveal(), 0);
            output.Write("\n"u8, key.Reveal().Length);
            return output.TryCommitNew() ? ExitCode.Success : throw Exists(path);
        });
        create.WithExamples("kaslrmt key new acme.key");
        return new Command("key", "Make tenant keys") { create }.WithExamples("kaslrmt key new acme.key");
    }

    private static KaslrMtException Exists(string path) =>
        new(VmErrors.KeyFile, $"{path} exists already", "a key in use must not be overwritten: choose another name");
}
