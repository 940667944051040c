using System.CommandLine;

namespace KaslrMt.Cli.Commands;

/// <summary>A command that is <c>kaslrmt-lab</c>'s since version 0.2: hidden, and named for one version.</summary>
internal static class MovedCommand
{
    /// <summary>The command.</summary>
    /// <param name="name">Its name in both programs.</param>
    public static Command Create(string name)
    {
        var command = new Command(name, $"Moved: kaslrmt-lab {name}")
        {
            Hidden = true,
            TreatUnmatchedTokensAsErrors = false,
        };
        command.SetAction(int (_) => throw new KaslrMtException(CoreErrors.Usage, $"'kaslrmt {name}' has moved to the program for experiments", $"call: kaslrmt-lab {name}"));
        return command;
    }
}
